package access

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// shards is how many locks a memory has; a power of two.
const shards = 32

// memory is a bounded map for concurrent use. When it is full, entries that
// were not read since the hand last passed make room (CLOCK). The zero memory
// holds nothing; use newMemory.
type memory[K comparable, V any] struct {
	seed   maphash.Seed
	shards [shards]memoryShard[K, V]
}

type memoryShard[K comparable, V any] struct {
	mu      sync.RWMutex
	slots   map[K]*slot[K, V]
	ring    []*slot[K, V]
	hand    int
	maximum int
}

type slot[K comparable, V any] struct {
	key   K
	value V
	place int
	read  atomic.Bool
}

// newMemory returns a memory of at least that many entries.
func newMemory[K comparable, V any](entries int) *memory[K, V] {
	m := &memory[K, V]{seed: maphash.MakeSeed()}
	for i := range m.shards {
		m.shards[i] = memoryShard[K, V]{slots: map[K]*slot[K, V]{}, maximum: max(1, (entries+shards-1)/shards)}
	}
	return m
}

func (m *memory[K, V]) shard(key K) *memoryShard[K, V] {
	return &m.shards[maphash.Comparable(m.seed, key)%shards]
}

func (m *memory[K, V]) get(key K) (value V, ok bool) {
	s := m.shard(key)
	s.mu.RLock()
	entry := s.slots[key]
	if entry == nil {
		s.mu.RUnlock()
		return value, false
	}
	value = entry.value
	s.mu.RUnlock()
	if !entry.read.Load() { // no write to a shared cache line while it is hot
		entry.read.Store(true)
	}
	return value, true
}

func (m *memory[K, V]) put(key K, value V) {
	s := m.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(key, value)
}

func (s *memoryShard[K, V]) put(key K, value V) {
	if entry := s.slots[key]; entry != nil {
		entry.value = value
		return
	}
	entry := &slot[K, V]{key: key, value: value, place: len(s.ring)}
	if len(s.ring) < s.maximum {
		s.ring = append(s.ring, entry)
	} else {
		entry.place = s.evict()
		s.ring[entry.place] = entry
	}
	s.slots[key] = entry
}

// evict removes the first entry from the hand on that was not read since the
// hand last passed, and returns its place. The hand goes on: what comes to that
// place has a whole round to be read.
func (s *memoryShard[K, V]) evict() (place int) {
	for {
		place = s.hand
		s.hand = (s.hand + 1) % len(s.ring)
		if entry := s.ring[place]; !entry.read.Swap(false) {
			delete(s.slots, entry.key)
			return place
		}
	}
}

func (s *memoryShard[K, V]) remove(key K) {
	entry := s.slots[key]
	if entry == nil {
		return
	}
	delete(s.slots, key)
	last := s.ring[len(s.ring)-1]
	s.ring[entry.place] = last
	last.place = entry.place
	s.ring[len(s.ring)-1] = nil
	s.ring = s.ring[:len(s.ring)-1]
}

func (m *memory[K, V]) drop(key K) {
	s := m.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(key)
}

func (m *memory[K, V]) clear() {
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		s.slots, s.ring, s.hand = map[K]*slot[K, V]{}, nil, 0
		s.mu.Unlock()
	}
}

func (m *memory[K, V]) len() (n int) {
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.RLock()
		n += len(s.ring)
		s.mu.RUnlock()
	}
	return n
}
