package signingkey

import (
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"slices"
	"time"

	"github.com/doorward/doorward/internal/jwt"
)

// snapshot is all that signing, verifying and publishing need. It is never
// changed once stored.
type snapshot struct {
	keys    []*key                     // not dead, by id
	signers map[string]*jwt.PrivateKey // by purpose
	public  map[string]*published      // by kid
	body    []byte                     // JWK Set
	etag    string
	erase   bool // private keys of dead keys are still stored
}

type published struct {
	key jwt.PublicKey
	end time.Time // zero: not retired
}

// next makes the snapshot that follows s. Every published key is opened. A
// purpose without a current key, which somebody must have deleted, keeps its
// signer until the next check has made another.
func (s *snapshot) next(keys []*key, now time.Time) (*snapshot, error) {
	n := &snapshot{signers: map[string]*jwt.PrivateKey{}, public: map[string]*published{}}
	maps.Copy(n.signers, s.signers)
	var set []jwt.PublicKey
	for _, k := range keys {
		if k.dead(now) {
			n.erase = n.erase || k.erasable(now)
			continue
		}
		n.keys = append(n.keys, k)
		if k.state == Withdrawn {
			continue
		}
		public := k.private.Public()
		set = append(set, public)
		n.public[k.id] = &published{key: public, end: k.end()}
		if k.state == Current {
			n.signers[k.purpose] = k.private
		}
	}
	var err error
	if n.body, err = jwt.AppendJWKSet(nil, set); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(n.body)
	n.etag = `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
	return n, nil
}

// adopt makes keys, as just read from the database, the ones that the node
// works with, or changes nothing. The caller holds r.mu.
func (r *Ring) adopt(keys []*key) error {
	now := r.config.Now()
	for _, k := range keys {
		if !k.isPublished(now) {
			continue
		}
		if err := r.open(k); err != nil {
			return err
		}
	}
	next, err := r.snapshot.Load().next(keys, now)
	if err != nil {
		return err
	}
	r.snapshot.Store(next)
	return nil
}

// find returns the key of a purpose in a state, nil if there is none.
func find(keys []*key, purpose, state string) *key {
	i := slices.IndexFunc(keys, func(k *key) bool { return k.purpose == purpose && k.state == state })
	if i < 0 {
		return nil
	}
	return keys[i]
}
