package main

import (
	"testing"

	"github.com/doorward/doorward/internal/id"
)

func TestSimulationDrivesTheDirectoryAndItsFeed(t *testing.T) {
	s, err := newSimulation(t.Context(), 500)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	node, err := s.node(t.Context(), 500)
	if err != nil {
		t.Fatal(err)
	}
	misses := func() uint64 {
		before := node.Statistics().Misses
		if h, err := node.Holder(t.Context(), id.Client(s.clients[7].id)); err != nil || h.Client == nil {
			t.Fatalf("client = %v, %v", h.Client, err)
		}
		return node.Statistics().Misses - before
	}
	if cold, warm := misses(), misses(); cold != 1 || warm != 0 {
		t.Errorf("a cold look-up misses %d times, a warm one %d", cold, warm)
	}
	if err := s.change(t.Context(), node, 7, 1); err != nil {
		t.Fatal(err)
	}
	if after := misses(); after != 1 {
		t.Errorf("after a change of it a look-up of the client misses %d times: the feed was not followed", after)
	}
	for _, test := range []struct {
		part        part
		least, most float64
	}{
		{part{"all in memory", 500, 2000}, 97, 100.1},
		{part{"each stands for ten, half in memory", 5000, 2500}, 60, 90},
		{part{"hardly any in memory", 500, 32}, 5, 40},
	} {
		rate, err := s.hitRate(t.Context(), test.part, skewOfClients)
		if err != nil || rate < test.least || rate > test.most {
			t.Errorf("%s: %.1f %% hits, %v; want %v to %v", test.part.what, rate, err, test.least, test.most)
		}
	}
}
