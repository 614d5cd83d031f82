package access

import (
	"testing"

	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

// warmAllocations is the most that one warm decision may allocate.
const warmAllocations = 3

func warmCall(f *fixture) call {
	return call{target: "/p1/things?" + testParameter + "=" + string(f.productionA), token: f.token(f.a2)}
}

func TestWarmDecisionDoesNoIOAndHardlyAllocates(t *testing.T) {
	f := newFixture(t, sqldbtest.New(t)) // not beside other tests: it counts allocations
	r := warmCall(f).request()
	decide := func() {
		if _, err := f.access.Decide(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	decide()
	before := f.DB.Statements()
	allocations := testing.AllocsPerRun(1000, decide)
	if statements := f.DB.Statements() - before; statements != 0 {
		t.Errorf("%d statements for 1000 warm decisions, want none", statements)
	}
	if allocations > warmAllocations {
		t.Errorf("%v allocations for a warm decision, want %d at most", allocations, warmAllocations)
	}
	if _, err := f.access.Decide(t.Context(), call{token: f.token(f.b1)}.request()); err != nil || f.DB.Statements() == before {
		t.Errorf("a cold decision made no statement, %v: the count tells nothing", err)
	}
}

func BenchmarkDecideWarm(b *testing.B) {
	f := newFixture(b, sqldbtest.New(b))
	r := warmCall(f).request()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.access.Decide(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
}
