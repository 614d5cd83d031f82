package resourceserver

import (
	"sync"

	"github.com/doorward/doorward/internal/jwt"
)

// verified is a token whose signature and form were found good. Its key and its
// time are looked at again at each use.
type verified struct {
	claims *jwt.Claims
	key    *jwt.PublicKey
	token  *Token
}

// generation is how many tokens are remembered before the older ones go.
const generation = 2048

// memory holds up to twice a generation of tokens. Who is asked for stays: a find
// among the old moves a token to the young. Only good tokens come in, so that
// made-up ones push nothing out.
type memory struct {
	mu         sync.RWMutex
	young, old map[string]verified
}

func (m *memory) get(token string) (verified, bool) {
	m.mu.RLock()
	found, ok := m.young[token]
	aged, isOld := m.old[token]
	m.mu.RUnlock()
	if ok || !isOld {
		return found, ok
	}
	m.put(token, aged)
	return aged, true
}

func (m *memory) put(token string, v verified) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.young == nil || len(m.young) >= generation {
		m.old, m.young = m.young, make(map[string]verified)
	}
	m.young[token] = v
}
