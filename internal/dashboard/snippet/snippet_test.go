package snippet

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func example() Call {
	return Call{
		TokenURL: "https://api.example.com/auth/open/connect/token", APIURL: "https://api.example.com",
		ClientID: "sandbox-round-apple-123", AccountID: "a-s-k3v9x0q2m5n8r7t1w4yz",
		Method: "POST", Path: "/auth/rest/sessions", Body: `{"flow": "redirect"}`,
	}
}

func write(t *testing.T, call Call) map[string]Snippet {
	t.Helper()
	snippets, err := Write(call)
	if err != nil {
		t.Fatal(err)
	}
	byKey := map[string]Snippet{}
	for _, s := range snippets {
		byKey[s.Key] = s
	}
	return byKey
}

func TestEveryLanguageMakesTheCall(t *testing.T) {
	for key, s := range write(t, example()) {
		for _, fact := range []string{
			"https://api.example.com/auth/open/connect/token", "sandbox-round-apple-123", "CLIENT_SECRET", "POST", "application/json", "redirect",
			"https://api.example.com/auth/rest/sessions?signicat-accountId=a-s-k3v9x0q2m5n8r7t1w4yz",
		} {
			if !strings.Contains(s.Text, fact) {
				t.Errorf("%s lacks %s:\n%s", key, fact, s.Text)
			}
		}
	}
	without := example()
	without.Method, without.Body = "", ""
	for key, s := range write(t, without) {
		if strings.Contains(s.Text, "application/json\"") || strings.Contains(s.Text, "POST', ") || !strings.Contains(s.Text, "GET") {
			t.Errorf("%s sends a body or not GET:\n%s", key, s.Text)
		}
	}
}

func TestTargetNamesTheAccountLast(t *testing.T) {
	for name, row := range map[string]struct {
		change func(*Call)
		want   string
	}{
		"plain":         {func(*Call) {}, "/auth/rest/sessions?signicat-accountId=a-s-k3v9x0q2m5n8r7t1w4yz"},
		"other name":    {func(c *Call) { c.AccountParameter = "account id" }, "/auth/rest/sessions?account+id=a-s-k3v9x0q2m5n8r7t1w4yz"},
		"with a query":  {func(c *Call) { c.Path = "/echo?a=1" }, "/echo?a=1&signicat-accountId=a-s-k3v9x0q2m5n8r7t1w4yz"},
		"no account":    {func(c *Call) { c.AccountID = "" }, "/auth/rest/sessions"},
		"placeholder":   {func(c *Call) { c.Path, c.AccountID = "/x/{id}/{rest...}", "" }, "/x/ID/REST"},
		"templates":     {func(c *Call) { c.Path, c.AccountID = "/x/{{a}}?b=[1-3]{{c}}", "" }, "/x/%7BA%7D?b=%5B1-3%5D%7B%7Bc%7D%7D"},
		"not ASCII":     {func(c *Call) { c.Path, c.AccountID = "/smør", "" }, "/sm%C3%B8r"},
		"slash of host": {func(c *Call) { c.APIURL, c.AccountID = "https://api.example.com/", "" }, "/auth/rest/sessions"},
	} {
		t.Run(name, func(t *testing.T) {
			call := example()
			row.change(&call)
			got, err := call.ready()
			if want := "https://api.example.com" + row.want; err != nil || got.Target != want {
				t.Errorf("target = %q, %v; want %q", got.Target, err, want)
			}
		})
	}
}

func TestBlanksAreTheWordsToReplace(t *testing.T) {
	for path, want := range map[string][]string{
		"/x": nil, "/x?filter={id}": nil, "/x/{id}": {"ID"}, "/x/{id}/{rest...}?y=1": {"ID", "REST"},
	} {
		c := Call{Path: path}
		if diff := cmp.Diff(want, c.Blanks()); diff != "" {
			t.Errorf("%s:\n%s", path, diff)
		}
	}
}

func TestCallThatCannotBeMadeIsRefused(t *testing.T) {
	for name, change := range map[string]func(*Call){
		"token URL":     func(c *Call) { c.TokenURL = "api.example.com/token" },
		"API URL":       func(c *Call) { c.APIURL = "" },
		"no client":     func(c *Call) { c.ClientID = "" },
		"client":        func(c *Call) { c.ClientID = "a\nb" },
		"method":        func(c *Call) { c.Method = "GET /" },
		"no path":       func(c *Call) { c.Path = "" },
		"whole URL":     func(c *Call) { c.Path = "https://evil.example/" },
		"line break":    func(c *Call) { c.Path = "/a\nb" },
		"query":         func(c *Call) { c.Path = "/a?b=ø" },
		"escape":        func(c *Call) { c.Path = "/%zz" },
		"body":          func(c *Call) { c.Body = "{" },
		"body's letter": func(c *Call) { c.Body = "\"\xff\"" },
	} {
		t.Run(name, func(t *testing.T) {
			call := example()
			change(&call)
			if _, err := Write(call); err == nil {
				t.Error("no error")
			}
			if _, err := Postman(call); err == nil {
				t.Error("no error of the collection")
			}
			t.Run("twin", func(t *testing.T) { write(t, example()) })
		})
	}
}

// hostile is text that would end a literal or begin something in some language.
var hostile = []string{
	"plain", `"`, `'`, "`", `\`, `\\"`, `"'`, `'"$(id)`, "${process.exit()}", "$HOME", "%s%%", "{{.Body}}", "</script>", "\u2028", "snø 🙂", `"""`, `\u0022`, "\"\n'",
}

func TestTextStaysInsideItsLiteral(t *testing.T) {
	for _, value := range hostile {
		if got := unquoteText(t, text(value)); got != value {
			t.Errorf("text(%q) = %s, which is %q", value, text(value), got)
		}
		if got, err := strconv.Unquote(goString(value)); err != nil || got != value {
			t.Errorf("goString(%q) = %s, which is %q, %v", value, goString(value), got, err)
		}
		out, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+shell(value)).Output()
		if err != nil || string(out) != value {
			t.Errorf("shell(%q) = %s, which is %q, %v", value, shell(value), out, err)
		}
	}
}

// unquoteText reads a literal as JavaScript and Python do.
func unquoteText(t *testing.T, literal string) string {
	t.Helper()
	quote, inside := literal[:1], literal[1:len(literal)-1]
	if strings.ContainsAny(inside, "\n\r") || strings.Contains(strings.ReplaceAll(strings.ReplaceAll(inside, `\\`, ""), `\`+quote, ""), quote) {
		t.Fatalf("%s ends early", literal)
	}
	if quote == "'" {
		inside = strings.ReplaceAll(inside, `"`, `\"`)
	}
	var value string
	if err := json.Unmarshal([]byte(`"`+inside+`"`), &value); err != nil {
		t.Fatalf("%s: %v", literal, err)
	}
	return value
}

func TestGoSnippetsParseWhateverTheBody(t *testing.T) {
	for _, value := range hostile {
		body, err := json.Marshal(map[string]string{"x": value})
		if err != nil {
			t.Fatal(err)
		}
		call := example()
		call.Body = string(body)
		for _, key := range []string{"go-plain", "go-library"} {
			source := write(t, call)[key].Text
			file, err := parser.ParseFile(token.NewFileSet(), "main.go", source, 0)
			if err != nil {
				t.Fatalf("%v in\n%s", err, source)
			}
			if !hasLiteral(file, string(body)) {
				t.Errorf("%s has no literal %s", key, body)
			}
		}
	}
}

func hasLiteral(file *ast.File, want string) (found bool) {
	ast.Inspect(file, func(node ast.Node) bool {
		if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			value, err := strconv.Unquote(literal.Value)
			found = found || err == nil && value == want
		}
		return true
	})
	return found
}

func TestEachLanguageBeginsWithTheSnippetThatNeedsNoLibrary(t *testing.T) {
	snippets, err := Write(example())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range snippets {
		got = append(got, s.Key)
	}
	want := []string{"curl", "go-plain", "go-library", "node-plain", "node-library", "python-plain", "python-library", "dotnet"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("snippets (-want +got):\n%s", diff)
	}
}

func TestCollectionHoldsNoVariableOfTheBody(t *testing.T) {
	call := example()
	call.Body = `{"x": "{{client_secret}}"}`
	collection, err := Postman(call)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(collection), "{{client_secret}}"); got != 1 {
		t.Errorf("the secret is named %d times, want once, as the password:\n%s", got, collection)
	}
	var document struct {
		Item []struct {
			Request struct {
				Body struct{ Raw string }
			}
		}
	}
	if err := json.Unmarshal(collection, &document); err != nil {
		t.Fatal(err)
	}
	var body map[string]string
	if err := json.Unmarshal([]byte(document.Item[1].Request.Body.Raw), &body); err != nil || body["x"] != "{{client_secret}}" {
		t.Errorf("the body became %v, %v", body, err)
	}
}
