package usage

import "context"

// Trim runs what Run does once a minute.
func (u *Usage) Trim(ctx context.Context) error { return u.trim(ctx) }

// Uses counts what is held in memory.
func (u *Usage) Uses() (n int) {
	for i := range u.uses.shards {
		s := &u.uses.shards[i]
		s.mu.Lock()
		n += len(s.uses)
		s.mu.Unlock()
	}
	return n
}

// Most is how many uses memory has room for.
const Most = useShards * usesPerShard
