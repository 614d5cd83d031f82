package id

import (
	"slices"
	"strings"
	"testing"
)

func TestWordsAreManyPlainAndUnique(t *testing.T) {
	seen := map[string]bool{}
	for name, list := range map[string]string{"adjectives": adjectives, "nouns": nouns} {
		words := strings.Fields(list)
		if got, want := len(words), 200; got < want {
			t.Errorf("%d %s, want at least %d", got, name, want)
		}
		if !slices.IsSorted(words) {
			t.Errorf("the %s are not in alphabetical order", name)
		}
		for _, word := range words {
			if !isWord(word) {
				t.Errorf("%q is not a word of 3 to 10 lower-case letters", word)
			}
			if seen[word] {
				t.Errorf("%q stands twice", word)
			}
			seen[word] = true
		}
	}
}

func TestNoWordContainsARudeOne(t *testing.T) {
	rude := strings.Fields(`anal arse ass bum cock coon crap cum cunt damn dick fag fart fuc hell hoe homo
		kkk lesb nazi nig nud perv piss poo porn prick pube rape sex shit slut tit turd twat wank whor`)
	for _, word := range strings.Fields(adjectives + nouns) {
		for _, part := range rude {
			if strings.Contains(word, part) {
				t.Errorf("%q contains %q", word, part)
			}
		}
	}
}
