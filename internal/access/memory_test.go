package access

import (
	"fmt"
	"sync"
	"testing"
)

// oneShard returns keys of a memory that all live under the same lock, so that
// a test can count what one shard does.
func oneShard(m *memory[int, int], n int) (keys []int) {
	for key := 0; len(keys) < n; key++ {
		if m.shard(key) == &m.shards[0] {
			keys = append(keys, key)
		}
	}
	return keys
}

func TestMemoryIsBounded(t *testing.T) {
	for _, entries := range []int{1, shards, 1000} {
		t.Run(fmt.Sprint(entries), func(t *testing.T) {
			m := newMemory[int, int](entries)
			most := (entries + shards - 1) / shards * shards
			for key := range 20 * most {
				m.put(key, key)
				m.put(key, key) // the same once more takes no room
			}
			if got := m.len(); got != most {
				t.Errorf("%d entries after %d puts, want %d", got, 20*most, most)
			}
		})
	}
}

func TestMemoryKeepsWhatIsRead(t *testing.T) {
	m := newMemory[int, int](shards * 8)
	keys := oneShard(m, 1000)
	hot, cold := keys[:4], keys[4:]
	for _, key := range hot {
		m.put(key, -key)
	}
	for i, key := range cold {
		for _, h := range hot {
			if value, ok := m.get(h); !ok || value != -h {
				t.Fatalf("after %d cold entries: hot %d is %d, %v", i, h, value, ok)
			}
		}
		m.put(key, key)
	}
}

func TestMemoryGivesWhatIsNewARound(t *testing.T) {
	const room = 8
	m := newMemory[int, int](shards * room)
	keys := oneShard(m, 100)
	for i, key := range keys {
		m.put(key, key)
		for _, recent := range keys[max(0, i-room+1) : i+1] {
			if slot := m.shards[0].slots[recent]; slot == nil {
				t.Fatalf("entry %d made room though %d older ones were as cold", recent, room-1)
			}
		}
	}
}

func TestMemoryDropsAndClears(t *testing.T) {
	m := newMemory[int, int](shards * 4)
	keys := oneShard(m, 8)
	for round := range 3 { // also after its places were moved about
		for _, key := range keys {
			m.put(key, key+round)
		}
		m.drop(keys[5])
		m.drop(keys[0]) // is gone already
		if _, ok := m.get(keys[5]); ok || m.len() != 3 {
			t.Fatalf("round %d: the dropped entry is there: %v; %d entries, want 3", round, ok, m.len())
		}
		if value, ok := m.get(keys[7]); !ok || value != keys[7]+round {
			t.Fatalf("round %d: the last entry is %d, %v", round, value, ok)
		}
	}
	m.clear()
	if _, ok := m.get(keys[7]); ok || m.len() != 0 {
		t.Errorf("%d entries after clear", m.len())
	}
	m.put(keys[0], 1)
	if value, ok := m.get(keys[0]); !ok || value != 1 {
		t.Errorf("after clear, put: %d, %v", value, ok)
	}
}

// For the race detector; and no reader ever sees another key's value.
func TestMemoryIsSafeForConcurrentUse(t *testing.T) {
	m := newMemory[int, int](shards)
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := range 5000 {
				key := (i*7 + worker) % 300
				switch i % 50 {
				case 0:
					m.drop(key)
				case 1:
					m.len()
				case 2:
					if worker == 0 {
						m.clear()
					}
				default:
					m.put(key, key*1000+worker)
				}
				if value, ok := m.get(key); ok && value/1000 != key {
					t.Errorf("key %d has the value %d", key, value)
				}
			}
		})
	}
	all.Wait()
}
