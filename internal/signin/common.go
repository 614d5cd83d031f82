package signin

import (
	_ "embed"
	"strings"
	"unicode"
)

// commonText is a list of words that guessers begin with, one a line.
//
//go:embed common.txt
var commonText string

// rows are runs of keys and letters; a part of one, forwards or backwards, is
// no password.
var rows = []string{"abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiop", "yxcvbnm", "azertyuiop", "01234567890123456789", "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p", "qazwsxedcrfvtgbyhnujmikolp"}

// isCommon recognises what guessers try first: a word of the list, also with
// digits or signs around it, with digits for letters, or written twice; runs of
// the keyboard; one thing over and over.
func isCommon(password string) bool {
	text := strings.ToLower(strings.Join(strings.Fields(password), ""))
	text = unrepeated(text)
	if len([]rune(text)) < 4 || isRun(text) {
		return true
	}
	for _, candidate := range []string{text, plain(text)} {
		core := strings.TrimFunc(candidate, func(r rune) bool { return !unicode.IsLetter(r) })
		core = unrepeated(core)
		if isWord(core) || isWord(candidate) || core != "" && isRun(core) && len(candidate)-len(core) <= 4 {
			return true
		}
	}
	return strings.TrimFunc(text, unicode.IsDigit) == "" && len(text) <= 8 // a date
}

func isWord(text string) bool {
	return text != "" && strings.Contains("\n"+commonText, "\n"+text+"\n")
}

// plain reads digits and signs as the letters that they stand for.
func plain(text string) string {
	core := strings.TrimRightFunc(text, func(r rune) bool { return unicode.IsDigit(r) || r == '!' || r == '?' || r == '.' })
	return strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "8", "b", "9", "g", "@", "a", "$", "s", "!", "i", "|", "l").Replace(core)
}

// unrepeated is the shortest text of which this one is a repetition.
func unrepeated(text string) string {
	for n := 1; n <= len(text)/2; n++ {
		if len(text)%n == 0 && strings.Repeat(text[:n], len(text)/n) == text {
			return text[:n]
		}
	}
	return text
}

func isRun(text string) bool {
	backwards := []rune(text)
	for i, j := 0, len(backwards)-1; i < j; i, j = i+1, j-1 {
		backwards[i], backwards[j] = backwards[j], backwards[i]
	}
	for _, row := range rows {
		if strings.Contains(row, text) || strings.Contains(row, string(backwards)) {
			return true
		}
	}
	return false
}

// isContext recognises passwords that are made of the person's own address and
// names, or of ours, with little else.
func isContext(password string, context []string) bool {
	text := strings.ToLower(password)
	rest := text
	for _, piece := range append(context, "doorward", "dashboard") {
		for _, word := range strings.FieldsFunc(strings.ToLower(piece), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
			if len([]rune(word)) >= 3 {
				rest = strings.ReplaceAll(rest, word, "")
			}
		}
	}
	letters := strings.TrimFunc(rest, func(r rune) bool { return !unicode.IsLetter(r) })
	return rest != text && len([]rune(letters)) < 4
}
