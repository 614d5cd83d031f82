package registry_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/registry"
)

// accepted says whether a product may have routes of these paths.
func accepted(t testing.TB, paths ...string) bool {
	t.Helper()
	d := productTwo()
	d.Routes = nil
	for _, path := range paths {
		d.Routes = append(d.Routes, registry.Route{Method: "GET", Path: path, Public: true})
	}
	return d.Validate("/auth/open") == nil
}

func TestRoutesAreRefusedWhenAnyTwoOfThemOverlap(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	refusals := 0
	for range 20_000 {
		var paths []string
		clash := false
		for range 2 + random.IntN(4) {
			path := randomPath(random)
			p, err := registry.ParsePattern(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, other := range paths {
				q, _ := registry.ParsePattern(other)
				clash = clash || p.Overlaps(q)
			}
			paths = append(paths, path)
		}
		if accepted(t, paths...) == clash {
			t.Fatalf("%q: accepted %v, want %v", paths, clash, !clash)
		}
		if clash {
			refusals++
		}
	}
	if refusals < 1000 || refusals > 19_000 {
		t.Errorf("%d of 20,000 were refused: the test asks one side only", refusals)
	}
}

func randomPath(random *rand.Rand) string {
	var path strings.Builder
	for i := range random.IntN(5) {
		switch random.IntN(7) {
		case 0, 1:
			fmt.Fprintf(&path, "/{p%d}", i)
		case 2:
			return path.String() + "/{rest...}"
		default:
			path.WriteString("/" + string("abc"[random.IntN(3)]))
		}
	}
	if path.Len() == 0 {
		return "/"
	}
	return path.String()
}

func BenchmarkValidationOfManyRoutes(b *testing.B) {
	for _, n := range []int{500, 5000} {
		for shape, path := range map[string]string{"flat": "/things-%d/{id}", "deep": "/v1/{organisation}/things-%d/{id}/parts", "crossed": ""} {
			b.Run(fmt.Sprintf("%s-%d", shape, n), func(b *testing.B) {
				d := productTwo()
				d.Routes = nil
				for i := range n {
					at := fmt.Sprintf(path, i)
					if shape == "crossed" {
						at = fmt.Sprintf([]string{"/{a}/left-%d", "/right-%d/deeper"}[i%2], i)
					}
					d.Routes = append(d.Routes, registry.Route{Method: "GET", Path: at, Public: true})
				}
				for b.Loop() {
					if err := d.Validate("/auth/open"); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
