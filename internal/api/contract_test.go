package api_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/management"
)

// contract is the document as a validator reads it, which checks its examples.
var contract = sync.OnceValues(func() (*openapi3.T, error) {
	document, err := openapi3.NewLoader().LoadFromData([]byte(management.Contract))
	if err != nil {
		return nil, err
	}
	return document, document.Validate(openapi3.NewLoader().Context, openapi3.EnableExamplesValidation())
})

func document(t testing.TB) *openapi3.T {
	t.Helper()
	d, err := contract()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestEachOperationOfTheContractIsWhole(t *testing.T) {
	ids := map[string]bool{}
	for path, item := range document(t).Paths.Map() {
		for method, o := range item.Operations() {
			name := method + " " + path
			permission, _ := o.Extensions["x-permission"].(string)
			public, _ := o.Extensions["x-public"].(bool)
			ability := actor.Ability(strings.TrimPrefix(permission, actor.ManagementPrefix))
			if public == (permission != "") || permission != "" && !knownAbility(ability) {
				t.Errorf("%s needs the permission %q", name, permission)
			}
			if o.OperationID == "" || ids[o.OperationID] || o.Summary == "" || len(o.Tags) != 1 {
				t.Errorf("%s has no id of its own, no summary or not one tag", name)
			}
			ids[o.OperationID] = true
			if o.RequestBody != nil && o.RequestBody.Value.Content.Get("application/json").Example == nil {
				t.Errorf("%s has a body without an example", name)
			}
			for status, response := range o.Responses.Map() {
				for media, content := range response.Value.Content {
					if content.Example == nil {
						t.Errorf("%s: the answer %s of %s has no example", name, status, media)
					}
				}
			}
			if o.Responses.Default() == nil {
				t.Errorf("%s does not describe its refusals", name)
			}
		}
	}
}

func knownAbility(ability actor.Ability) bool {
	for _, known := range actor.EveryAbility() {
		if known == ability {
			return true
		}
	}
	return false
}

// fits holds an answer against what the contract says of the operation.
func (o *operation) fits(t testing.TB, a answer) {
	t.Helper()
	described := document(t).Paths.Find(o.path).GetOperation(o.method)
	response := described.Responses.Status(a.status)
	if response == nil {
		response = described.Responses.Default()
	}
	media, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
	content := response.Value.Content[media]
	if a.status == http.StatusNoContent {
		if a.body != "" {
			t.Errorf("%s: 204 with the body %s", o.ID, a.body)
		}
		return
	}
	if content == nil {
		t.Errorf("%s: the answer %d has the type %q, which the contract does not have", o.ID, a.status, media)
		return
	}
	decoder := json.NewDecoder(bytes.NewReader([]byte(a.body)))
	var value any
	if err := decoder.Decode(&value); err != nil {
		t.Errorf("%s: %v", o.ID, err)
		return
	}
	if err := content.Schema.Value.VisitJSON(value); err != nil {
		t.Errorf("%s: the answer does not fit the contract: %v\n%s", o.ID, err, a.body)
	}
	for name, header := range response.Value.Headers {
		if header.Value.Required && a.header.Get(name) == "" {
			t.Errorf("%s: the answer has no %s", o.ID, name)
		}
	}
}

// A body that fits the contract in all but one member is refused, whatever the
// operation: the server reads no more than the contract says.
func TestEachBodyIsReadStrictly(t *testing.T) {
	each(t, func(t *testing.T, p *platform) {
		by := p.caller(t, "", "", p.permissions...)
		s := p.fresh(t)
		p.addPeople(t, &s)
		p.refresh(t)
		for _, o := range operations(t) {
			path, body := o.request(t, s)
			if body == "" || o.method == http.MethodGet {
				continue
			}
			for name, wrong := range map[string]string{
				"an unknown member": `{"unknown_member":1,` + body[1:], "two values": body + "{}", "an array": "[" + body + "]", "half of it": body[:len(body)/2],
			} {
				got := p.do(t, by, o.method, path, wrong)
				got.has(t, o.ID+" with "+name, http.StatusBadRequest, "invalid")
				o.fits(t, got)
			}
		}
	})
}

func TestTheContractIsServed(t *testing.T) {
	p := start(t, "sqlite")
	got := p.do(t, nil, http.MethodGet, "/openapi.json", "")
	got.has(t, "the contract", http.StatusOK, "")
	served, err := openapi3.NewLoader().LoadFromData([]byte(got.body))
	if err != nil {
		t.Fatal(err)
	}
	if len(served.Paths.Map()) != len(document(t).Paths.Map()) || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("%d paths of %d, as %s", len(served.Paths.Map()), len(document(t).Paths.Map()), got.header.Get("Content-Type"))
	}
}
