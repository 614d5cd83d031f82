package main

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"
)

// The counting rule: a round says something about the server only if the server
// core was the bottleneck and the load core was not.
const (
	serverBusyAtLeast = 0.97
	loadBusyAtMost    = 0.90
	roundsAtLeast     = 5
)

// A plan says how long and how often to measure.
type plan struct {
	rounds      int           // counted rounds wanted of each contestant
	attempts    int           // rounds after which it gives up
	length      time.Duration // of the measured part of a round
	warmUp      time.Duration // before it, on the same connections
	acceptNoise bool          // count every round; the result is not judged
}

// A round is one measured stretch. Durations are in microseconds.
type round struct {
	Counted    bool    `json:"counted"`
	Requests   uint64  `json:"requests"`
	Seconds    float64 `json:"seconds"`
	CPU        float64 `json:"cpu_us_per_request"` // of the server process
	PerSecond  float64 `json:"requests_per_second"`
	P50        float64 `json:"p50_us"`
	P99        float64 `json:"p99_us"`
	ServerBusy float64 `json:"server_core_busy"` // 0 to 1
	ServerOwn  float64 `json:"server_own_share"` // of the server core, by the server itself
	LoadBusy   float64 `json:"load_core_busy"`
}

// A series is all rounds of one contestant, and the medians of those that count.
type series struct {
	Name   string  `json:"name"`
	Median round   `json:"median"`
	Rounds []round `json:"rounds"`
}

// A contestant is measured one round at a time.
type contestant struct {
	name  string
	round func(ctx context.Context, p plan) (round, error)
}

// alternate measures the contestants in turn, A B A B, until each has its
// counted rounds. Too few of them is an error, but the series are returned.
func alternate(ctx context.Context, p plan, log func(string, ...any), contestants ...contestant) ([]series, error) {
	out := make([]series, len(contestants))
	for attempt := range p.attempts {
		if enough(out, p.rounds) {
			break
		}
		for i, c := range contestants {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			r, err := c.round(ctx, p)
			if err != nil {
				return nil, fmt.Errorf("round %d of %s: %w", attempt+1, c.name, err)
			}
			r.Counted = p.acceptNoise || counts(r)
			out[i].Name = c.name
			out[i].Rounds = append(out[i].Rounds, r)
			log("  %-24s %s", c.name, r)
		}
	}
	for i := range out {
		out[i].Median = medianOf(out[i].Rounds)
	}
	if !enough(out, p.rounds) {
		return out, tooFew(out, p)
	}
	return out, nil
}

// counts is the counting rule.
func counts(r round) bool {
	return r.ServerBusy >= serverBusyAtLeast && r.LoadBusy <= loadBusyAtMost
}

func enough(all []series, wanted int) bool {
	for _, s := range all {
		if s.counted() < wanted {
			return false
		}
	}
	return true
}

func (s series) counted() int {
	n := 0
	for _, r := range s.Rounds {
		if r.Counted {
			n++
		}
	}
	return n
}

func tooFew(all []series, p plan) error {
	var found []string
	for _, s := range all {
		found = append(found, fmt.Sprintf("%s %d", s.Name, s.counted()))
	}
	return fmt.Errorf("of %d rounds each, too few count (%s; wanted %d): the server core must be at least %.0f %% busy "+
		"and the load core at most %.0f %%; run the benchmark on an idle machine",
		p.attempts, strings.Join(found, ", "), p.rounds, serverBusyAtLeast*100, loadBusyAtMost*100)
}

// medianOf takes the median of each figure over the rounds that count.
func medianOf(rounds []round) round {
	of := func(figure func(round) float64) float64 {
		var all []float64
		for _, r := range rounds {
			if r.Counted {
				all = append(all, figure(r))
			}
		}
		return median(all)
	}
	return round{
		Counted:    true,
		Requests:   uint64(of(func(r round) float64 { return float64(r.Requests) })),
		Seconds:    of(func(r round) float64 { return r.Seconds }),
		CPU:        of(func(r round) float64 { return r.CPU }),
		PerSecond:  of(func(r round) float64 { return r.PerSecond }),
		P50:        of(func(r round) float64 { return r.P50 }),
		P99:        of(func(r round) float64 { return r.P99 }),
		ServerBusy: of(func(r round) float64 { return r.ServerBusy }),
		ServerOwn:  of(func(r round) float64 { return r.ServerOwn }),
		LoadBusy:   of(func(r round) float64 { return r.LoadBusy }),
	}
}

// median returns the middle value, or the mean of the two; zero of none.
func median[T cmp.Ordered](values []T) (m T) {
	if len(values) == 0 {
		return m
	}
	return slices.Sorted(slices.Values(values))[len(values)/2]
}

// String is one line for the log.
func (r round) String() string {
	verdict := "does not count"
	if r.Counted {
		verdict = "counts"
	}
	return fmt.Sprintf("%8.2f µs CPU %9.0f/s  p50 %7.0f µs  p99 %7.0f µs  server core %5.1f %% (own %5.1f %%)  load core %5.1f %%  %s",
		r.CPU, r.PerSecond, r.P50, r.P99, r.ServerBusy*100, r.ServerOwn*100, r.LoadBusy*100, verdict)
}

// A meter reads what is compared before and after a round.
type meter struct {
	cores        cores
	pid          int
	at           time.Time
	cpu          time.Duration
	server, load coreTicks
}

// readMeter takes a reading; pid 0 means that no process is to be measured.
func readMeter(c cores, pid int) (meter, error) {
	m := meter{cores: c, pid: pid}
	var err error
	if m.server, err = ticksOf(c.server); err != nil {
		return m, err
	}
	if m.load, err = ticksOf(c.load); err != nil {
		return m, err
	}
	if pid != 0 {
		m.cpu, err = cpuTime(pid)
	}
	m.at = time.Now()
	return m, err
}

// round turns the difference to an earlier reading into a round.
func (m meter) round(earlier meter, requests uint64) round {
	wall := m.at.Sub(earlier.at)
	return round{
		Requests:   requests,
		Seconds:    wall.Seconds(),
		CPU:        micros(m.cpu-earlier.cpu) / float64(max(requests, 1)),
		PerSecond:  float64(requests) / wall.Seconds(),
		ServerBusy: m.server.busySince(earlier.server),
		ServerOwn:  float64(m.cpu-earlier.cpu) / float64(wall),
		LoadBusy:   m.load.busySince(earlier.load),
	}
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// loaded is the contestant that answers the load that prepare gives for each
// round. Preparing, connecting and warming up are not measured.
func loaded(c cores, name string, pid int, prepare func(context.Context) (load, error)) contestant {
	return contestant{name: name, round: func(ctx context.Context, p plan) (r round, err error) {
		l, err := prepare(ctx)
		if err != nil {
			return round{}, err
		}
		runtime.GC() // not during the round: the load core is to be quiet
		g, err := dial(l)
		if err != nil {
			return round{}, err
		}
		defer func() { err = cmp.Or(err, g.close()) }()
		if _, err := g.run(p.warmUp); err != nil {
			return round{}, err
		}
		before, err := readMeter(c, pid)
		if err != nil {
			return round{}, err
		}
		out, err := g.run(p.length)
		if err != nil {
			return round{}, err
		}
		after, err := readMeter(c, pid)
		if err != nil {
			return round{}, err
		}
		if out.elapsed < p.length/2 {
			return round{}, fmt.Errorf("the prepared requests lasted %v of %v", out.elapsed, p.length)
		}
		r = after.round(before, out.requests)
		r.P50, r.P99 = micros(out.times.quantile(0.50)), micros(out.times.quantile(0.99))
		return r, nil
	}}
}

// signing is the contestant that makes bare signatures of one kind.
func signing(c cores, kind string) contestant {
	return contestant{name: "signatures-" + kind, round: func(_ context.Context, p plan) (round, error) {
		before, err := readMeter(c, 0)
		if err != nil {
			return round{}, err
		}
		var s signatures
		if err := compute(c.server, &s, "signatures", kind, p.length.String()); err != nil {
			return round{}, err
		}
		after, err := readMeter(c, 0)
		if err != nil {
			return round{}, err
		}
		r := after.round(before, s.Count)
		r.Seconds, r.PerSecond = s.Took.Seconds(), float64(s.Count)/s.Took.Seconds()
		r.CPU = micros(s.CPU) / float64(s.Count)
		r.ServerOwn = float64(s.CPU) / float64(s.Took)
		return r, nil
	}}
}
