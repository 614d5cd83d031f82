package resourceserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/internal/jwt"
)

// status is the status of the error; 200 for none.
func status(t *testing.T, err error) int {
	t.Helper()
	if err == nil {
		return http.StatusOK
	}
	refused, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("error = %v, want an *Error", err)
	}
	return refused.Status
}

func (i *issuer) verify(t *testing.T, guard *Guard, token string) int {
	t.Helper()
	_, err := guard.Verify(t.Context(), token)
	return status(t, err)
}

// defects are answers that give no keys.
var defects = map[string]func(w http.ResponseWriter, r *http.Request) bool{
	"T45 down":    func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusBadGateway); return true },
	"T45 garbage": func(w http.ResponseWriter, _ *http.Request) bool { _, _ = io.WriteString(w, "<html>"); return true },
	"T45 nothing": func(http.ResponseWriter, *http.Request) bool { return true },
	"T45 slow":    func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true },
	"T39 too long": func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == metaPath {
			fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}%s`, issuerURL, audience+jwksPath, strings.Repeat(" ", jwt.MaxJWKSetSize))
		}
		return r.URL.Path == metaPath
	},
	"T39 redirect": func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, "http://169.254.169.254/latest/meta-data", http.StatusFound)
		return true
	},
	"T39 redirect to http": func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, "http://api.example.com"+jwksPath, http.StatusFound)
		return true
	},
	"T39 redirect for ever": func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, r.URL.Path, http.StatusFound)
		return true
	},
	"T39 keys elsewhere": func(w http.ResponseWriter, _ *http.Request) bool {
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":"https://169.254.169.254/keys","keys":[{"kty":"oct","k":"AAAA"}]}`, issuerURL)
		return true
	},
	"T40 metadata of another issuer": func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == metaPath {
			fmt.Fprintf(w, `{"issuer":"https://other.example.com","jwks_uri":%q}`, audience+jwksPath)
		}
		return r.URL.Path == metaPath
	},
}

// elsewhere lists requests that left the issuer's origin.
func (i *issuer) elsewhere() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	var out []string
	for _, request := range i.requests {
		if !strings.HasPrefix(request, audience+"/") {
			out = append(out, request)
		}
	}
	return out
}

func TestWithoutKeysTheAnswerIsNo(t *testing.T) {
	for name, defect := range defects {
		t.Run(name+" at start", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := newIssuer(t)
				guard := i.guard(t, nil)
				good := i.good(t)
				i.override(defect)
				if got := i.verify(t, guard, good); got != http.StatusServiceUnavailable {
					t.Errorf("status = %d, want 503", got)
				}
				response := call(t, guard, "", "/", "Bearer "+good)
				if response.Code != http.StatusServiceUnavailable || response.Header().Get("WWW-Authenticate") != "" {
					t.Errorf("answer = %d %v, want 503 without a challenge", response.Code, response.Header())
				}
				if got := i.elsewhere(); got != nil {
					t.Errorf("requests elsewhere: %v", got)
				}
				i.override(nil)
				time.Sleep(retryInterval)
				if got := i.verify(t, guard, good); got != http.StatusOK {
					t.Errorf("status = %d after the issuer came back, want 200", got)
				}
			})
			t.Run("twin", func(t *testing.T) {
				i := newIssuer(t)
				if got := i.verify(t, i.guard(t, nil), i.good(t)); got != http.StatusOK {
					t.Errorf("status = %d, want 200", got)
				}
			})
		})
	}
}

func TestLastGoodKeysStayWhenFetchingFails(t *testing.T) {
	for name, defect := range defects {
		t.Run(name+" during rotation", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := newIssuer(t)
				guard := i.guard(t, nil)
				next := key(t, "production-2", jwt.Production)
				if got := i.verify(t, guard, i.good(t)); got != http.StatusOK {
					t.Fatalf("status = %d, want 200", got)
				}
				i.override(defect)
				for range 3 {
					time.Sleep(keyLifetime)
					if got := i.verify(t, guard, i.good(t)); got != http.StatusOK {
						t.Errorf("status = %d for a token of the last good key, want 200", got)
					}
					synctest.Wait()
				}
				time.Sleep(fetchTimeout + retryInterval)
				if got := i.verify(t, guard, i.token(t, next, nil)); got != http.StatusUnauthorized {
					t.Errorf("status = %d for a token of a key never had, want 401", got)
				}
				i.publish(i.keys[0], next)
				i.override(nil)
				time.Sleep(retryInterval)
				if got := i.verify(t, guard, i.token(t, next, nil)); got != http.StatusOK {
					t.Errorf("status = %d for a token of the new key, want 200", got)
				}
				if got := i.elsewhere(); got != nil {
					t.Errorf("requests elsewhere: %v", got)
				}
			})
		})
	}
}

func TestMadeUpKeyIDsCauseNoStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		guard := i.guard(t, nil)
		for n := range 100 { // 50 seconds
			stranger := key(t, fmt.Sprintf("made-up-%d", n), jwt.Production)
			if got := i.verify(t, guard, i.token(t, stranger, nil)); got != http.StatusUnauthorized {
				t.Errorf("status = %d, want 401", got)
			}
			time.Sleep(retryInterval / 20)
		}
		if got, want := i.count(jwksPath), 5; got != want {
			t.Errorf("%d fetches of the keys, want %d", got, want)
		}
	})
}

func TestManyCallersShareOneFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		wait := make(chan struct{})
		i.override(func(http.ResponseWriter, *http.Request) bool { <-wait; return false })
		guard := i.guard(t, nil)
		good := i.good(t)
		var callers sync.WaitGroup
		for range 20 {
			callers.Go(func() {
				if _, err := guard.Verify(t.Context(), good); err != nil {
					t.Error(err)
				}
			})
		}
		ctx, leave := context.WithCancel(t.Context())
		callers.Go(func() {
			if _, err := guard.Verify(ctx, good); !errors.Is(err, context.Canceled) {
				t.Errorf("error of who left = %v, want %v", err, context.Canceled)
			}
		})
		synctest.Wait()
		leave()
		synctest.Wait()
		close(wait)
		callers.Wait()
		if got := i.count(jwksPath); got != 1 {
			t.Errorf("%d fetches of the keys, want 1", got)
		}
	})
}

func TestNewKeyIsFoundAndWithdrawnKeyForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		guard := i.guard(t, nil)
		old, next := i.keys[0], key(t, "production-2", jwt.Production)
		if got := i.verify(t, guard, i.good(t)); got != http.StatusOK {
			t.Fatalf("status = %d, want 200", got)
		}
		i.publish(old, next)
		time.Sleep(retryInterval)
		if got := i.verify(t, guard, i.token(t, next, nil)); got != http.StatusOK {
			t.Errorf("status = %d for a token of the new key, want 200", got)
		}
		i.publish(next)
		time.Sleep(keyLifetime)
		_ = i.verify(t, guard, i.token(t, next, nil)) // starts the fetch
		synctest.Wait()
		if got := i.verify(t, guard, i.token(t, old, nil)); got != http.StatusUnauthorized {
			t.Errorf("status = %d for a token of the withdrawn key, want 401", got)
		}
		if got := i.verify(t, guard, i.token(t, next, nil)); got != http.StatusOK {
			t.Errorf("status = %d for a token of the current key, want 200", got)
		}
	})
}

func TestKeysInMemoryCostNoRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		guard := i.guard(t, nil)
		for range 50 {
			if got := i.verify(t, guard, i.good(t)); got != http.StatusOK {
				t.Fatalf("status = %d, want 200", got)
			}
			time.Sleep(time.Second)
		}
		if got := i.count(jwksPath); got != 1 {
			t.Errorf("%d fetches of the keys, want 1", got)
		}
	})
}
