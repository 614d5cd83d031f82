// Package redistoken shares access tokens among processes by Redis or Valkey.
//
//	config.Cache = &redistoken.Cache{Client: redis.NewClient(&redis.Options{Addr: "localhost:6379"})}
//	source, err := tokensource.New(config)
//
// What lies in Redis is encrypted under a key that is derived from the client
// secret, in the form that docs/clients.md of the project describes, so that
// libraries of other languages share it. What must stay true: without Redis every
// process fetches its own tokens, and no caller gets an error; the lock saves
// requests and nothing depends on it.
package redistoken

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/doorward/doorward/tokensource"
)

// Cache is a tokensource.Cache in Redis. Client is required. It is safe for
// concurrent use, and for sources of any number of clients.
type Cache struct {
	Client redis.UniversalClient
	Failed func(error) // is told why Redis could not be used; nil: nobody
}

var _ tokensource.Cache = (*Cache)(nil)

const (
	operationTime = 500 * time.Millisecond // for one command, however the client is configured
	lockTime      = 10 * time.Second
	pollTime      = 50 * time.Millisecond
	polls         = 20
)

// Fetch returns the token that lies in Redis, or fetches one under a lock. Who
// does not get the lock looks for the token for a second, then fetches it anyway.
func (c *Cache) Fetch(
	ctx context.Context, key tokensource.Key, accept func(tokensource.Token) bool, fetch func(context.Context) (tokensource.Token, error),
) (tokensource.Token, error) {
	e, err := newEntry(key)
	if err != nil {
		c.failed(err)
		return fetch(ctx)
	}
	if token, ok := c.load(ctx, e); ok && accept(token) {
		return token, nil
	}
	owner := rand.Text()
	switch locked, err := c.lock(ctx, e, owner); {
	case err != nil:
		return fetch(ctx)
	case locked:
		defer c.unlock(ctx, e, owner)
		if token, ok := c.load(ctx, e); ok && accept(token) {
			return token, nil // who held the lock before has put it there
		}
	default:
		if token, ok := c.poll(ctx, e, accept); ok {
			return token, nil
		}
	}
	token, err := fetch(ctx)
	if err == nil {
		c.store(ctx, e, token)
	}
	return token, err
}

// Drop deletes the token if it still lies there.
func (c *Cache) Drop(ctx context.Context, key tokensource.Key, token string) {
	e, err := newEntry(key)
	if err != nil {
		c.failed(err)
		return
	}
	c.failed(within(ctx, func(ctx context.Context) error {
		value, err := c.Client.Get(ctx, e.name).Result()
		if err != nil {
			return err
		}
		if held, err := e.open(value); err != nil || held.AccessToken != token {
			return nil //nolint:nilerr // what cannot be read is not that token
		}
		return deleteIfEqual.Run(ctx, c.Client, []string{e.name}, value).Err()
	}))
}

// deleteIfEqual deletes the key if it holds the value.
var deleteIfEqual = redis.NewScript(`if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("DEL", KEYS[1]) end return 0`)

// within runs commands for no longer than operationTime. A client of go-redis minds
// a context only if it was made to: then the goroutine goes on until the client's
// own time-outs end it, and nobody waits for it.
func within(ctx context.Context, commands func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, operationTime)
	done := make(chan error, 1)
	go func() {
		defer cancel()
		done <- commands(ctx)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("use Redis: %w", context.Cause(ctx))
	}
}

func (c *Cache) load(ctx context.Context, e *entry) (tokensource.Token, bool) {
	found := make(chan tokensource.Token, 1)
	err := within(ctx, func(ctx context.Context) error {
		var value *redis.StringCmd
		var left *redis.DurationCmd
		_, err := c.Client.Pipelined(ctx, func(p redis.Pipeliner) error {
			value, left = p.Get(ctx, e.name), p.PTTL(ctx, e.name)
			return nil
		})
		if err != nil {
			return err
		}
		held, err := e.open(value.Val())
		if err != nil {
			return err
		}
		lifetime := time.Duration(held.Lifetime) * time.Millisecond
		found <- tokensource.Token{Value: held.AccessToken, Lifetime: lifetime, Left: min(left.Val(), lifetime)}
		return nil
	})
	if err != nil {
		c.failed(err)
		return tokensource.Token{}, false
	}
	token := <-found
	return token, token.Left > 0
}

func (c *Cache) store(ctx context.Context, e *entry, token tokensource.Token) {
	left := token.Left.Truncate(time.Millisecond)
	if left <= 0 {
		return
	}
	value, err := e.seal(content{AccessToken: token.Value, Lifetime: token.Lifetime.Milliseconds()})
	if err != nil {
		c.failed(err)
		return
	}
	c.failed(within(ctx, func(ctx context.Context) error { return c.Client.Set(ctx, e.name, value, left).Err() }))
}

func (c *Cache) lock(ctx context.Context, e *entry, owner string) (bool, error) {
	err := within(ctx, func(ctx context.Context) error {
		return c.Client.SetArgs(ctx, e.lock, owner, redis.SetArgs{Mode: "NX", TTL: lockTime}).Err()
	})
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	c.failed(err)
	return err == nil, err
}

// unlock releases the lock if it still is the owner's.
func (c *Cache) unlock(ctx context.Context, e *entry, owner string) {
	c.failed(within(context.WithoutCancel(ctx), func(ctx context.Context) error {
		return deleteIfEqual.Run(ctx, c.Client, []string{e.lock}, owner).Err()
	}))
}

// poll waits for the token that the lock's owner fetches.
func (c *Cache) poll(ctx context.Context, e *entry, accept func(tokensource.Token) bool) (tokensource.Token, bool) {
	tick := time.NewTicker(pollTime)
	defer tick.Stop()
	for range polls {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return tokensource.Token{}, false
		}
		if token, ok := c.load(ctx, e); ok && accept(token) {
			return token, true
		}
	}
	return tokensource.Token{}, false
}

func (c *Cache) failed(err error) {
	if err != nil && !errors.Is(err, redis.Nil) && c.Failed != nil {
		c.Failed(err)
	}
}
