package gateway

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/internal/access"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/jwt"
	"github.com/doorward/doorward/internal/registry"
)

// An assertion lives for a minute and is renewed at half its life; a call may
// still use it until shortly before its end.
const (
	assertionLifetime = 60 * time.Second
	assertionRenewal  = 30 * time.Second
	assertionLastUse  = 50 * time.Second
)

// identity is what an upstream is told about the caller, as values of headers.
// A nil value means that the header is absent. It is immutable.
type identity struct {
	client, account, organisation, sandbox, permissions, assertion []string

	key    *jwt.PrivateKey // that signed the assertion
	signed time.Time
}

// identityKey is all that an identity depends on. Entries and definitions are
// replaced when they change and never altered, and being part of a key keeps
// their addresses from being used again: so a pointer stands for a version, and
// with the scope for the effective permissions.
type identityKey struct {
	client       *registry.ClientEntry
	organisation *registry.OrganisationEntry
	account      *registry.AccountEntry // that the call acts on
	product      *registry.Definition
	scope        string
}

// identities keeps signed identities, so that neither a call nor a new token
// pays for a signature. Bounded: each shard has two generations, and starts
// anew with the older one gone when the younger is full.
type identities struct {
	issuer string
	signer func() *jwt.PrivateKey
	seed   maphash.Seed
	shards [identityShards]identityShard
}

const (
	identityShards    = 16
	identityShardSize = 512 // of a generation: 16,384 in all
)

type identityShard struct {
	mu         sync.RWMutex
	young, old map[identityKey]*renewable
}

// renewable is the newest identity of a key.
type renewable struct {
	current atomic.Pointer[identity]
	signing sync.Mutex
}

func newIdentities(issuer string, signer func() *jwt.PrivateKey) *identities {
	return &identities{issuer: issuer, signer: signer, seed: maphash.MakeSeed()}
}

// of returns the identity for a decision, nil for an anonymous call. While one
// caller renews it, others use the one before.
func (s *identities) of(d *access.Decision, now time.Time) (*identity, error) {
	if d.Claims == nil {
		return nil, nil //nolint:nilnil // nobody is an answer
	}
	key := s.signer()
	if key == nil {
		return nil, fault.New(fault.TemporarilyUnavailable, "the platform has no key to sign with yet; try again shortly")
	}
	r := s.renewable(identityKey{d.Holder.Client, d.Holder.Organisation, d.AccountNow, d.Match.Product, d.Claims.Scope})
	known := r.current.Load()
	if known.fresh(key, now, assertionRenewal) {
		return known, nil
	}
	if known.fresh(key, now, assertionLastUse) {
		if !r.signing.TryLock() {
			return known, nil
		}
	} else {
		r.signing.Lock()
	}
	defer r.signing.Unlock()
	if known = r.current.Load(); known.fresh(key, now, assertionRenewal) {
		return known, nil
	}
	made, err := s.sign(d, key, now)
	if err == nil {
		r.current.Store(made)
	}
	return made, err
}

// fresh says whether the key still signs, and the assertion is younger than age.
func (i *identity) fresh(key *jwt.PrivateKey, now time.Time, age time.Duration) bool {
	if i == nil || i.key != key {
		return false
	}
	since := now.Sub(i.signed)
	return since < age && since > -jwt.Skew
}

func (s *identities) sign(d *access.Decision, key *jwt.PrivateKey, now time.Time) (*identity, error) {
	client := d.Holder.Client
	organisation := client.Organisation
	if d.AccountNow != nil {
		organisation = d.AccountNow.Organisation // the operator's clients have none of their own
	}
	sandbox := d.Environment == id.Sandbox
	permissions := d.Permissions
	if permissions == nil {
		permissions = []string{} // said, not left out: the caller has none here
	}
	token, err := key.Sign(nil, jwt.TypeAssertion, &jwt.Claims{
		Issuer: s.issuer, Audience: d.Match.Product.Key, Subject: string(client.ID),
		IssuedAt: now.Unix(), Expiry: now.Add(assertionLifetime).Unix(),
		AccountID: string(d.Account), OrganisationID: string(organisation), Sandbox: sandbox, Permissions: permissions,
	})
	if err != nil {
		return nil, fault.Errorf(fault.Internal, "sign the assertion for %s: %w", d.Match.Product.Key, err)
	}
	i := &identity{
		client: value(string(client.ID)), account: value(string(d.Account)), organisation: value(string(organisation)),
		sandbox: []string{"false"}, permissions: value(strings.Join(d.Permissions, " ")), assertion: value(string(token)),
		key: key, signed: now,
	}
	if sandbox {
		i.sandbox[0] = "true"
	}
	return i, nil
}

// value is a header's value, nil for none.
func value(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}

// renewable finds a key's place, and makes it when it is new.
func (s *identities) renewable(key identityKey) *renewable {
	shard := &s.shards[maphash.Comparable(s.seed, key)%identityShards]
	shard.mu.RLock()
	r := shard.young[key]
	shard.mu.RUnlock()
	if r != nil {
		return r
	}
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if r = shard.young[key]; r != nil {
		return r
	}
	if r = shard.old[key]; r == nil {
		r = &renewable{}
	}
	if shard.young == nil || len(shard.young) >= identityShardSize {
		shard.young, shard.old = map[identityKey]*renewable{}, shard.young
	}
	shard.young[key] = r
	return r
}
