package main

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"
)

const (
	megabyte = 1e6
	mebibyte = 1 << 20
)

// binarySize measures the product's file, which must have no symbol table.
func binarySize(_ context.Context, b *bench) (result, error) {
	file, err := elf.Open(b.binary)
	if err != nil {
		return result{}, fmt.Errorf("open the product: %w", err)
	}
	defer file.Close() // only read
	if file.SectionByType(elf.SHT_SYMTAB) != nil {
		return result{}, fmt.Errorf("%s is not stripped: build it with -ldflags='-s -w'", b.binary)
	}
	info, err := os.Stat(b.binary)
	if err != nil {
		return result{}, err
	}
	return result{figures: map[string]float64{"stripped binary": float64(info.Size()) / megabyte}}, nil
}

// startEmpty measures starts that have to make the database.
func startEmpty(ctx context.Context, b *bench) (result, error) {
	var took []float64
	for range b.sizes.starts {
		err := b.withInstallation(ctx, order{}, func(in *installation) error {
			ms, err := startOnce(ctx, b, in)
			took = append(took, ms)
			return err
		})
		if err != nil {
			return result{}, err
		}
	}
	return result{figures: map[string]float64{"first start": median(took)}}, nil
}

// startAgain measures starts on a database that is there.
func startAgain(ctx context.Context, b *bench) (out result, err error) {
	err = b.withInstallation(ctx, order{}, func(in *installation) error {
		if _, err := startOnce(ctx, b, in); err != nil {
			return err
		}
		var took []float64
		for range b.sizes.starts {
			ms, err := startOnce(ctx, b, in)
			if err != nil {
				return err
			}
			took = append(took, ms)
		}
		out.figures = map[string]float64{"later start": median(took)}
		return nil
	})
	return out, err
}

// startOnce starts and stops the product and returns the milliseconds from
// fork to ready.
func startOnce(ctx context.Context, b *bench, in *installation) (float64, error) {
	p, err := in.start(ctx, b.cores)
	if err != nil {
		return 0, err
	}
	return p.readyAfter.Seconds() * 1e3, p.stop()
}

// memoryIdle reads the resident memory of a product that has nothing to do, once
// its start is over.
func memoryIdle(ctx context.Context, b *bench) (out result, err error) {
	err = b.withProduct(ctx, order{}, func(p *running, _ netip.AddrPort) error {
		time.Sleep(b.sizes.settle)
		watch := watchMemory(p.pid())
		time.Sleep(b.sizes.settle)
		most, err := watch()
		out.figures = map[string]float64{"resident idle": float64(most) / megabyte}
		return err
	})
	return out, err
}

// memoryLoad reads the most resident memory while tokens are asked for, calls
// are made with them, and calls are made with new ones.
func memoryLoad(ctx context.Context, b *bench) (out result, err error) {
	err = b.withProduct(ctx, b.ordinary(), func(p *running, _ netip.AddrPort) error {
		watch := watchMemory(p.pid())
		tokens, err := p.issue(ctx, b.sizes.newTokens)
		if err != nil {
			return errors.Join(err, stopWatching(watch))
		}
		requests := callRequests(p.api, p.callPath, tokens)
		for _, source := range [][][]byte{requests, times(len(requests), requests[:len(p.clients)])} {
			l := load{address: p.api, connections: connections, status: 200, next: once(source)}
			if err := runAll(ctx, l); err != nil {
				return errors.Join(err, stopWatching(watch))
			}
		}
		most, err := watch()
		out.figures = map[string]float64{"resident under load": float64(most) / megabyte}
		return err
	})
	return out, err
}

func stopWatching(watch func() (int64, error)) error {
	_, err := watch()
	return err
}

// watchMemory samples the resident memory of a process ten times a second. The
// function that it returns ends that and gives the largest sample.
func watchMemory(pid int) func() (int64, error) {
	end, done := make(chan struct{}), make(chan struct{})
	var most int64
	var failed error
	go func() {
		defer close(done)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			now, err := resident(pid)
			most, failed = max(most, now), errors.Join(failed, err)
			select {
			case <-end:
				return
			case <-tick.C:
			}
		}
	}()
	return func() (int64, error) {
		close(end)
		<-done
		return most, failed
	}
}

// millionClients measures a product with a large database: the start, the first
// token of clients that it has not seen since, and memory with full caches.
func millionClients(ctx context.Context, b *bench) (out result, err error) {
	kept := b.sizes.coldClients + b.sizes.filling
	err = b.withProduct(ctx, order{clients: b.sizes.millionClient, keep: kept}, func(p *running, _ netip.AddrPort) error {
		requests := tokenRequests(p.api, p.tokenPath, p.clients)
		watch := watchMemory(p.pid())
		cold, err := oneByOne(ctx, p.api, requests[:b.sizes.coldClients])
		if err != nil {
			return errors.Join(err, stopWatching(watch))
		}
		filling := load{address: p.api, connections: connections, status: 200, next: once(requests[b.sizes.coldClients:])}
		err = runAll(ctx, filling)
		most, watched := watch()
		out.figures = map[string]float64{
			"cold client p99":          micros(cold[len(cold)*99/100]) / 1e3,
			"million clients resident": float64(most) / mebibyte,
			"million clients start":    p.readyAfter.Seconds() * 1e3,
		}
		return errors.Join(err, watched)
	})
	return out, err
}

// oneByOne makes the requests on one connection and returns the sorted times.
func oneByOne(ctx context.Context, to netip.AddrPort, requests [][]byte) ([]time.Duration, error) {
	var took []time.Duration
	err := runAll(ctx, load{
		address: to, connections: 1, status: 200, next: once(requests),
		answered: func(t time.Duration, _ []byte) { took = append(took, t) },
	})
	slices.Sort(took)
	return took, err
}
