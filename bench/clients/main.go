// Command clients measures the Go client libraries beside what they are compared
// with, and exits 1 when a floor is missed.
//
// A library and its counterpart are measured in turn, several times, and the
// medians are judged: a warm token beside golang.org/x/oauth2's
// ReuseTokenSource, and the verification of tokens beside the bare signature
// check of the same tokens.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/doorward/doorward/resourceserver"
	"github.com/doorward/doorward/resourceserver/resourceservertest"
	"github.com/doorward/doorward/tokensource"
)

const (
	rounds     = 7
	goroutines = 16
	tokens     = 8192 // more than a guard remembers
)

// The floors. Nanoseconds are of the machine that runs this.
const (
	warmToken      = 100 * time.Nanosecond
	timesFaster    = 3.0 // than ReuseTokenSource, at 16 goroutines
	overSignature  = 1.1 // times the bare signature check
	warmVerifying  = time.Microsecond
	allocationless = 0
)

func main() {
	if err := run(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "clients:", err)
		os.Exit(1)
	}
}

var errMissed = errors.New("a floor was missed")

// contestant is one thing that is measured; its figures are of all rounds.
type contestant struct {
	name    string
	measure func(b *testing.B)
	times   []float64 // ns
	allocs  int64
}

func (c *contestant) round() {
	result := testing.Benchmark(c.measure)
	c.times = append(c.times, float64(result.T.Nanoseconds())/float64(result.N))
	c.allocs = max(c.allocs, result.AllocsPerOp())
}

func (c *contestant) median() float64 {
	sorted := slices.Sorted(slices.Values(c.times))
	return sorted[len(sorted)/2]
}

func run(out io.Writer) error {
	testing.Init()
	all, err := contestants()
	if err != nil {
		return err
	}
	for range rounds {
		for _, c := range all {
			c.round()
		}
	}
	byName := map[string]*contestant{}
	for _, c := range all {
		byName[c.name] = c
		fmt.Fprintf(out, "%-34s %10.1f ns  (%.1f to %.1f)  %d allocations\n", c.name, c.median(), slices.Min(c.times), slices.Max(c.times), c.allocs)
	}
	return judge(out, byName)
}

func judge(out io.Writer, by map[string]*contestant) error {
	faster := by["x/oauth2, 16 goroutines"].median() / by["tokensource, 16 goroutines"].median()
	over := by["guard, token not seen before"].median() / by["bare signature check"].median()
	missed := false
	for _, floor := range []struct {
		says string
		kept bool
	}{
		{fmt.Sprintf("warm token: %.1f ns, at most %v", by["tokensource"].median(), warmToken), by["tokensource"].median() <= float64(warmToken)},
		{fmt.Sprintf("warm token: %d allocations, at most %d", by["tokensource"].allocs, allocationless), by["tokensource"].allocs <= allocationless},
		{fmt.Sprintf("warm token at 16 goroutines: %.1f times as fast as ReuseTokenSource, at least %.0f", faster, timesFaster), faster >= timesFaster},
		{fmt.Sprintf("verification: %.3f times the signature check, at most %.1f", over, overSignature), over <= overSignature},
		{fmt.Sprintf("warm verification: %.1f ns, at most %v", by["guard, token seen before"].median(), warmVerifying), by["guard, token seen before"].median() <= float64(warmVerifying)},
	} {
		verdict := "kept  "
		if !floor.kept {
			verdict, missed = "MISSED", true
		}
		fmt.Fprintln(out, verdict, floor.says)
	}
	fmt.Fprintf(out, "%s %s/%s, %d CPUs\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	if missed {
		return errMissed
	}
	return nil
}

func contestants() ([]*contestant, error) {
	source, err := warmSource()
	if err != nil {
		return nil, err
	}
	reuse := oauth2.ReuseTokenSource(nil, oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "t", Expiry: time.Now().Add(time.Hour)}))
	ours := func() { _, _ = source.Token(context.Background()) }
	theirs := func() { _, _ = reuse.Token() }
	verifying, err := verifications()
	if err != nil {
		return nil, err
	}
	return append([]*contestant{
		{name: "tokensource", measure: alone(ours)},
		{name: "x/oauth2", measure: alone(theirs)},
		{name: "tokensource, 16 goroutines", measure: together(ours)},
		{name: "x/oauth2, 16 goroutines", measure: together(theirs)},
	}, verifying...), nil
}

func alone(do func()) func(b *testing.B) {
	return func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			do()
		}
	}
}

func together(do func()) func(b *testing.B) {
	return func(b *testing.B) {
		b.SetParallelism((goroutines + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				do()
			}
		})
	}
}

// answering is a token endpoint in memory.
type answering struct{}

func (answering) RoundTrip(*http.Request) (*http.Response, error) {
	body := io.NopCloser(strings.NewReader(`{"access_token":"t","expires_in":3600,"token_type":"Bearer"}`))
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: body}, nil
}

func warmSource() (*tokensource.Source, error) {
	source, err := tokensource.New(tokensource.Config{
		TokenURL: "https://api.example.com/token", ClientID: "c", ClientSecret: "s", HTTPClient: &http.Client{Transport: answering{}},
	})
	if err != nil {
		return nil, err
	}
	_, err = source.Token(context.Background())
	return source, err
}

// verifications are a guard's, and the check of as many signatures over as many
// bytes.
func verifications() ([]*contestant, error) {
	issuer := resourceservertest.New(&testing.B{})
	guard, err := resourceserver.New(issuer.Config())
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	texts := make([]string, tokens)
	signatures := make([][]byte, tokens)
	for n := range texts {
		texts[n] = issuer.Token(resourceservertest.Claims{
			ClientID: fmt.Sprintf("prod-round-apple-%d", n), Lifetime: time.Hour, Permissions: []string{"auth.sessions.read", "auth.sessions.create"},
		})
		digest := sha256.Sum256([]byte(texts[n]))
		if signatures[n], err = ecdsa.SignASN1(rand.Reader, key, digest[:]); err != nil {
			return nil, err
		}
	}
	ctx := context.Background()
	if _, err := guard.Verify(ctx, texts[0]); err != nil {
		return nil, err
	}
	var next, bare int
	return []*contestant{
		{name: "bare signature check", measure: alone(func() {
			digest := sha256.Sum256([]byte(texts[bare%tokens]))
			if !ecdsa.VerifyASN1(&key.PublicKey, digest[:], signatures[bare%tokens]) {
				panic("a good signature is refused")
			}
			bare++
		})},
		{name: "guard, token not seen before", measure: alone(func() {
			if _, err := guard.Verify(ctx, texts[next%tokens]); err != nil {
				panic(err)
			}
			next++
		})},
		{name: "guard, token seen before", measure: alone(func() {
			if _, err := guard.Verify(ctx, texts[0]); err != nil {
				panic(err)
			}
		})},
	}, nil
}
