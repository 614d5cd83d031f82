package registry_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

// failing is a random source that fails for good after so many reads.
type failing struct{ left int }

var errNoRandom = errors.New("no randomness")

func (f *failing) Read(p []byte) (int, error) {
	if f.left--; f.left < 0 {
		return 0, errNoRandom
	}
	return io.ReadFull(rand.Reader, p)
}

// The random source fails at the first read, then at the second, and so on until
// it does not: nothing is made of what is left, and the next change goes through.
func TestWithoutRandomnessNothingIsMade(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		chief, operator, ctx := f.adminA, f.operator, t.Context()
		for name, create := range map[string]func(r *registry.Registry) error{
			"organisation": func(r *registry.Registry) error { _, err := r.CreateOrganisation(ctx, operator, "New"); return err },
			"account": func(r *registry.Registry) error {
				_, err := r.CreateAccount(ctx, chief, id.Sandbox, "Account "+rand.Text())
				return err
			},
			"client": func(r *registry.Registry) error {
				_, err := r.CreateClient(ctx, chief, registry.NewClient{Account: f.sandboxA, Name: "New"})
				return err
			},
			"secret": func(r *registry.Registry) error {
				_, _, err := r.AddSecret(ctx, chief, f.a2, "new", time.Time{})
				return err
			},
			"rotation": func(r *registry.Registry) error {
				_, _, err := r.RotateSecret(ctx, chief, f.a1, f.secretA1, "next", time.Time{}, f.Now().Add(time.Hour))
				return err
			},
			"invitation": func(r *registry.Registry) error {
				_, err := r.Invite(ctx, chief, rand.Text()+"@example.com", "", []actor.RoleGrant{{Role: actor.Viewer}})
				return err
			},
			"webhook": func(r *registry.Registry) error {
				_, _, err := r.CreateWebhook(ctx, chief, registry.NewWebhook{Name: "New", URL: "https://hooks.example/" + rand.Text()})
				return err
			},
		} {
			t.Run(name, func(t *testing.T) {
				for n := 0; ; n++ {
					before := query(t, f.DB, `SELECT count(*) FROM audit`)
					config := f.Config
					source := &failing{left: n}
					config.Rand = source
					err := withoutPanic(func() error { return create(registry.New(config)) })
					if err == nil {
						if source.left < 0 || n == 0 {
							t.Errorf("made after %d reads of randomness, with %d left", n, source.left)
						}
						return
					}
					if diff := cmp.Diff(before, query(t, f.DB, `SELECT count(*) FROM audit`)); diff != "" {
						t.Errorf("%d reads, then %v: %s", n, err, diff)
					}
					f.must(t, f.adminA, registry.RenameAccount{Account: f.sandboxA, Name: fmt.Sprint(name, n)})
				}
			})
		}
	})
}

// withoutPanic also returns what a request's server would answer 500 for.
func withoutPanic(do func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return do()
}
