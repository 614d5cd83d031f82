package registry_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

// injections are texts that mean something to SQL, JSON or LIKE.
var injections = []string{
	"'", `"`, "`", "' OR '1'='1", "'; DROP TABLE client; --", "x') ON CONFLICT DO NOTHING --", "1; UPDATE organisation SET state = 'suspended'",
	"$1", "$9", "?", ":name", "@x", "%", "_", `\`, `\'`, "/*", "*/", "--", "NULL", "null", "{}", "' UNION SELECT digest FROM client_secret --", "E'\\x00'", "$$",
}

// oddities are texts that engines take in different ways.
var oddities = []string{
	"", "\x00", "a\x00b", "𝄞", "\u0378", "\U0010FFFF", "\uFFFE", "\uFFFD", "\xff", "\xed\xa0\x80", "a\u0301", "á", "\u202Etxt", "\u2028", "\ufeff", "\r\n", "\x7f", "\x1b[31m", " a ", strings.Repeat("𝄞", 200), strings.Repeat("x", 100000),
}

// eachText calls test once for each text in an edit, set to the value given:
// its fields, what they point to, and the elements of its lists.
func eachText(edit registry.Edit, value string, test func(field string, edit registry.Edit)) {
	fields := 0
	for n := 0; n == 0 || n < fields; n++ {
		changed := reflect.New(reflect.TypeOf(edit)).Elem()
		i, at := 0, ""
		changed.Set(copied(reflect.ValueOf(edit), "", func(field string, v reflect.Value) {
			if i == n {
				v.SetString(value)
				at = field
			}
			i++
		}))
		if fields = i; fields > 0 {
			test(at, changed.Interface().(registry.Edit))
		}
	}
}

// copied returns a deep copy of v and shows each text of it to visit.
func copied(v reflect.Value, path string, visit func(string, reflect.Value)) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	out.Set(v)
	switch v.Kind() {
	case reflect.String:
		visit(path, out)
	case reflect.Pointer:
		if !v.IsNil() {
			out.Set(reflect.New(v.Type().Elem()))
			out.Elem().Set(copied(v.Elem(), path, visit))
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return out
		}
		out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
		for i := range v.Len() {
			out.Index(i).Set(copied(v.Index(i), fmt.Sprint(path, "[", i, "]"), visit))
		}
	case reflect.Map:
		out.Set(reflect.MakeMap(v.Type()))
		for _, key := range []string{"sandbox", "production"} { // the one map of an edit: upstreams
			k := reflect.ValueOf(id.Environment(key))
			if value := v.MapIndex(k); value.IsValid() {
				out.SetMapIndex(k, copied(value, path+"."+key, visit))
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				out.Field(i).Set(copied(v.Field(i), path+"."+v.Type().Field(i).Name, visit))
			}
		}
	}
	return out
}

// outcomes tries every text of every edit with every value. What is accepted
// is taken back.
func outcomes(t *testing.T, f *fixture, values []string) (all []string) {
	t.Helper()
	for _, row := range editRows() {
		by := row.by(f, actor.OperatorAdmin)
		for _, value := range values {
			eachText(row.edit(f), value, func(field string, edit registry.Edit) {
				outcome := f.tried(t, by, edit)
				if strings.HasPrefix(outcome, "FAILED") {
					t.Errorf("%s%s = %.40q: %s", row.name, field, value, outcome)
				}
				all = append(all, fmt.Sprintf("%s%s %.40q: %s", row.name, field, value, outcome))
			})
		}
	}
	return all
}

// questions asks every question with every value as the id.
func questions(t *testing.T, f *fixture, values []string) {
	t.Helper()
	for _, value := range values {
		x := target{id.Account(value), id.Client(value), id.Secret(value), id.Webhook(value), id.Person(value), id.Invitation(value), id.Request(value)}
		for name, err := range asking(t, f, f.adminA, x) {
			if fault.KindOf(err) != fault.NotFound {
				t.Errorf("%s of %.40q: %v", name, value, err)
			}
		}
		if _, err := f.Descendants(t.Context(), f.adminA, f.a1, id.Secret(value)); fault.KindOf(err) != fault.NotFound {
			t.Errorf("Descendants of %.40q: %v", value, err)
		}
		listsOf(t, f, value)
		client, err1 := f.ClientEntry(t.Context(), id.Client(value))
		account, err2 := f.AccountEntry(t.Context(), id.Account(value))
		organisation, err3 := f.OrganisationEntry(t.Context(), id.Organisation(value))
		if client != nil || account != nil || organisation != nil || err1 != nil || err2 != nil || err3 != nil {
			t.Errorf("entries of %.40q: %v %v %v %v %v %v", value, client, account, organisation, err1, err2, err3)
		}
	}
}

// everyText runs the values through everything, and compares the engines.
func everyText(t *testing.T, values []string) {
	t.Helper()
	answers := map[string][]string{}
	var engines []string
	each(t, func(t *testing.T, f *fixture) {
		before := dump(t, f.DB)
		answers[f.DB.Engine()] = outcomes(t, f, values)
		questions(t, f, values)
		engines = append(engines, f.DB.Engine())
		if diff := cmp.Diff(before, dump(t, f.DB)); diff != "" {
			t.Errorf("something was changed:\n%s", diff)
		}
	})
	for _, engine := range engines {
		if diff := cmp.Diff(answers[engines[0]], answers[engine]); diff != "" {
			t.Errorf("%s and %s answer differently:\n%s", engines[0], engine, diff)
		}
	}
}

func TestSTO01_injectedTextHasNoEffect(t *testing.T) { everyText(t, injections) }

func TestSTO17_oddTextIsRefusedOrTakenAlikeOnBothEngines(t *testing.T) { everyText(t, oddities) }

func TestSTO17_whatIsTakenIsStoredExactly(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		taken := 0
		for i, text := range append(injections, oddities...) {
			key := id.Secret(fmt.Sprintf("text%08d", i))
			named := f.newSecret(f.a2, key)
			named.Name = text
			err := f.Apply(t.Context(), f.adminA, registry.RenameOrganisation{Name: text}, registry.RenameAccount{Account: f.sandboxA, Name: text},
				registry.UpdateClient{Client: f.a1, Name: &text}, named)
			if err != nil {
				wantKind(t, err, fault.Invalid)
				continue
			}
			taken++
			o, err := f.Organisation(t.Context(), f.adminA)
			if err != nil || o.Name != text {
				t.Errorf("organisation %q is %q, %v", text, o.Name, err)
			}
			a, err := f.Account(t.Context(), f.adminA, f.sandboxA)
			if err != nil || a.Name != text {
				t.Errorf("account %q is %q, %v", text, a.Name, err)
			}
			if c := mustClient(t, f, f.adminA, f.a1); c.Name != text {
				t.Errorf("client %q is %q", text, c.Name)
			}
			if s := f.secretOf(t, f.a2, key); s.Name != text {
				t.Errorf("secret %q is %q", text, s.Name)
			}
			f.must(t, f.adminA, set(f.a2, key, registry.SecretRevoked))
		}
		if want := len(injections) + 10; taken < want-1 {
			t.Errorf("%d texts were taken, want about %d", taken, want)
		}
	})
}

func TestSTO17_aDefinitionIsStoredExactly(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		taken := 0
		for _, text := range append(injections, oddities...) {
			d := productTwo()
			d.Description, d.Permissions[0].Description = text, text
			if err := f.Apply(t.Context(), f.operator, put(d)); err != nil {
				wantKind(t, err, fault.Invalid)
				continue
			}
			taken++
			got := f.product(t, "p2").Definition
			if got.Description != text || got.Permissions[0].Description != text {
				t.Errorf("the description %q is %q, %q", text, got.Description, got.Permissions[0].Description)
			}
		}
		if taken < len(injections)+10 {
			t.Errorf("only %d texts were taken", taken)
		}
	})
}

// What a caller wrote must not be read as a message of the driver: a refusal
// that repeats it stays a refusal.
func TestSTO17_textThatReadsLikeADriversErrorIsStillInvalid(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		for _, text := range []registry.State{"conn closed", "unexpected EOF"} {
			wantKind(t, f.Apply(t.Context(), f.operator.In(f.orgA), registry.SetOrganisationState{State: text}), fault.Invalid)
		}
	})
}
