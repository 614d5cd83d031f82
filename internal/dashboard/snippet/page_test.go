package snippet

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the quick start anew")

const (
	page       = "../../../docs/quickstart.md"
	collection = "../../../docs/quickstart.postman_collection.json"
)

var place = regexp.MustCompile(`(?s)<!-- snippet: ([a-z-]+) -->\n(.*?)<!-- end -->`)

func TestQuickStartShowsTheSnippets(t *testing.T) {
	snippets := write(t, example())
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	want := place.ReplaceAllStringFunc(string(text), func(found string) string {
		key := place.FindStringSubmatch(found)[1]
		s, ok := snippets[key]
		if !ok {
			t.Errorf("%s is on the page, but is no snippet, or stands there twice", key)
		}
		delete(snippets, key)
		return fmt.Sprintf("<!-- snippet: %s -->\n%s<!-- end -->", key, onPage(s))
	})
	for key := range snippets {
		t.Errorf("%s is not on the page", key)
	}
	compare(t, page, want)
}

// onPage is a snippet in Markdown.
func onPage(s Snippet) string {
	text := ""
	if s.Install != "" {
		text += fmt.Sprintf("Install: `%s`\n\n", s.Install)
	}
	if s.File != "" {
		text += fmt.Sprintf("Save it as `%s`, run `%s`:\n\n", s.File, s.Run)
	}
	return text + fmt.Sprintf("```%s\n%s```\n", s.Syntax, s.Text)
}

func TestQuickStartHasTheCollection(t *testing.T) {
	want, err := Postman(example())
	if err != nil {
		t.Fatal(err)
	}
	compare(t, collection, string(want)+"\n")
}

// compare holds the file against what it should be, or makes it so.
func compare(t *testing.T, path, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s is stale; go test ./internal/dashboard/snippet -update (-want +got):\n%s", path, diff)
	}
}
