package registry_test

import (
	"slices"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

func TestClientsThatWereCalledLatelyAreNamed(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.must(t, f.adminA, registry.CreateClient{ID: "sandbox-first-apple-100", Account: f.sandboxA, Name: "first"})
		f.called(t, "sandbox-first-apple-100", f.orgA, time.Minute)
		f.called(t, f.a1, f.orgA, time.Hour)
		f.called(t, f.b1, f.orgB, 0)
		a1, err := f.Client(t.Context(), f.adminA, f.a1)
		if err != nil {
			t.Fatal(err)
		}
		since := f.Now().Add(-2 * time.Hour)
		for name, row := range map[string]struct {
			filter registry.CalledFilter
			since  time.Time
			most   int
			want   []id.Client
		}{
			"all":         {most: 9, since: since, want: []id.Client{"sandbox-first-apple-100", f.a1}},
			"at most":     {most: 1, since: since, want: []id.Client{"sandbox-first-apple-100"}},
			"later":       {most: 9, since: f.Now().Add(-time.Hour + 1), want: []id.Client{"sandbox-first-apple-100"}},
			"account":     {most: 9, since: since, filter: registry.CalledFilter{Account: a1.Account}, want: []id.Client{f.a1}},
			"environment": {most: 9, since: since, filter: registry.CalledFilter{Environment: a1.Environment()}, want: []id.Client{f.a1}},
			"product":     {most: 9, since: since, filter: registry.CalledFilter{Product: "p1"}, want: []id.Client{f.a1}},
			"none":        {most: 9, since: since, filter: registry.CalledFilter{Product: "p2"}},
		} {
			t.Run(name, func(t *testing.T) {
				list, err := f.CalledClients(t.Context(), f.operator.In(f.orgA), row.filter, row.since, row.most)
				var got []id.Client
				for _, c := range list {
					got = append(got, c.ID)
				}
				if err != nil || !slices.Equal(got, row.want) {
					t.Errorf("%v, %v, want %v", got, err, row.want)
				}
			})
		}
		_, err = f.CalledClients(t.Context(), f.operator, registry.CalledFilter{}, since, 9)
		wantKind(t, err, fault.NotFound)
	})
}
