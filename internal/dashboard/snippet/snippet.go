// Package snippet writes one API call of a client in several languages: get an
// access token (RFC 6749 §4.4), then call with it (RFC 6750 §2.1). The quick start
// in docs and the Dashboard show what it writes, and a test runs it against the
// running platform.
//
// It hides the templates and how each language quotes text. What must stay true:
// whatever a Call holds stays inside one literal of the language, and no snippet
// holds a secret: each reads the environment variable CLIENT_SECRET.
package snippet

import (
	"embed"
	"strings"
)

// Snippet is a program, or lines for a shell, that makes one call.
type Snippet struct {
	Language string // for tabs and addresses: curl, go, node, python or dotnet
	Name     string // of the language, for people
	Variant  string // what it needs, for people: "standard library only", or a library
	Key      string // language and variant, unique: "go-plain"
	Syntax   string // of Text, for highlighting: sh, go, js, python or csharp
	File     string // to save Text as; "" if Text is to be pasted into a shell
	Install  string // shell command that gets the library; "" if there is none
	Run      string // shell command that runs File; "" if there is none
	Text     string
}

// kinds are all snippets without their text, in the order of the page: of each
// language first the one that needs no library.
var kinds = [...]Snippet{
	{Language: "curl", Name: "curl", Variant: "a POSIX shell", Key: "curl", Syntax: "sh"},
	{Language: "go", Name: "Go", Variant: "standard library only", Key: "go-plain", Syntax: "go", File: "main.go", Run: "go run main.go"},
	{Language: "go", Name: "Go", Variant: "tokensource", Key: "go-library", Syntax: "go", File: "main.go",
		Install: "go mod init example && go get github.com/doorward/doorward/tokensource", Run: "go run main.go"},
	{Language: "node", Name: "Node.js", Variant: "no package", Key: "node-plain", Syntax: "js", File: "call.mjs", Run: "node call.mjs"},
	{Language: "node", Name: "Node.js", Variant: "@doorward/client", Key: "node-library", Syntax: "js", File: "call.mjs",
		Install: "npm install @doorward/client", Run: "node call.mjs"},
	{Language: "python", Name: "Python", Variant: "standard library only", Key: "python-plain", Syntax: "python", File: "call.py", Run: "python3 call.py"},
	{Language: "python", Name: "Python", Variant: "Authlib", Key: "python-library", Syntax: "python", File: "call.py",
		Install: "python3 -m pip install Authlib requests", Run: "python3 call.py"},
	{Language: "dotnet", Name: ".NET", Variant: "standard library only", Key: "dotnet", Syntax: "csharp", File: "Program.cs",
		Install: "dotnet new console --output call && cd call", Run: "dotnet run"},
}

//go:embed template
var templates embed.FS

// Write writes the call in all languages, in a fixed order: of each language
// first the snippet that needs no library. An error says what in the call is wrong.
func Write(call Call) ([]Snippet, error) {
	ready, err := call.ready()
	if err != nil {
		return nil, err
	}
	snippets := make([]Snippet, len(kinds))
	for i, kind := range kinds {
		template, err := templates.ReadFile("template/" + kind.Key + ".txt")
		if err != nil {
			return nil, err
		}
		kind.Text = ready.fill(string(template), quotes[kind.Syntax])
		snippets[i] = kind
	}
	return snippets, nil
}

// fill writes the call into a template, each value as a literal that quote makes.
// A line that begins with + is for calls with a body, one with - for those
// without. It is not text/template, because what that package calls by name
// makes the linker keep each exported method of the whole program.
func (r ready) fill(template string, quote func(string) string) string {
	marked, other := "+", "-"
	if r.Body == "" {
		marked, other = other, marked
	}
	var b strings.Builder
	for line := range strings.Lines(template) {
		if !strings.HasPrefix(line, other) {
			b.WriteString(strings.TrimPrefix(line, marked))
		}
	}
	request := "-X " + r.Method
	if r.Method == "HEAD" {
		request = "--head"
	}
	return strings.NewReplacer(
		"{{TokenURL}}", quote(r.TokenURL),
		"{{ClientID}}", quote(r.ClientID),
		"{{User}}", quote(r.ClientID+":"),
		"{{Request}}", request,
		"{{Method}}", quote(r.Method),
		"{{Target}}", quote(r.Target),
		"{{Body}}", quote(r.Body),
	).Replace(b.String())
}
