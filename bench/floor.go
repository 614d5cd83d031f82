package main

import "fmt"

// A floor is a promise of the product about one figure of one scenario.
type floor struct {
	Name     string  `json:"name"`     // of the figure
	Scenario string  `json:"scenario"` // that measures it
	Unit     string  `json:"unit,omitempty"`
	Limit    float64 `json:"floor"`
	Aim      float64 `json:"aim,omitempty"`     // zero if there is none beyond the limit
	AtMost   bool    `json:"at_most,omitempty"` // the limit is a ceiling of the figure
}

// newTokenRate is 9,000 calls with a new token each per 33,900 of a bare proxy.
const newTokenRate = 9000.0 / 33900.0

// statementsPerRequest leaves room for what runs beside the requests: the poll
// of the change feed, and counters that are flushed in batches. A statement on
// the path would be at 1.
const statementsPerRequest = 0.01

// floors is the table that make bench judges by. Ratios are of server CPU time
// per request, above 1 where the product is cheaper than what it is held against.
var floors = []floor{
	{Name: "plain-issuer/signatures", Scenario: "ceilings", Limit: 0.45},
	{Name: "bare-proxy/bare-handler", Scenario: "ceilings", Limit: 0.30},
	{Name: "tokens/plain-issuer", Scenario: "tokens", Limit: 0.85, Aim: 1.0},
	{Name: "tokens p99/p50", Scenario: "tokens", Limit: 2.3, AtMost: true},
	{Name: "tokens SQL statements", Scenario: "tokens", Unit: "per request", Limit: statementsPerRequest, AtMost: true},
	{Name: "two nodes/one node", Scenario: "two-nodes", Limit: 1.1, AtMost: true},
	{Name: "two nodes/two strangers", Scenario: "two-nodes", Limit: 1.1, AtMost: true},
	{Name: "calls-warm/bare-proxy", Scenario: "calls-warm", Limit: 0.85, Aim: 0.95},
	{Name: "calls-warm SQL statements", Scenario: "calls-warm", Unit: "per request", Limit: statementsPerRequest, AtMost: true},
	{Name: "calls-new-token/bare-proxy", Scenario: "calls-new-token", Limit: newTokenRate},
	{Name: "first start", Scenario: "start-empty", Unit: "ms", Limit: 300, AtMost: true},
	{Name: "later start", Scenario: "start-again", Unit: "ms", Limit: 100, AtMost: true},
	{Name: "resident idle", Scenario: "memory-idle", Unit: "MB", Limit: 25, AtMost: true},
	{Name: "resident under load", Scenario: "memory-load", Unit: "MB", Limit: 45, AtMost: true},
	{Name: "stripped binary", Scenario: "binary-size", Unit: "MB", Limit: 30, AtMost: true},
	{Name: "cold client p99", Scenario: "million-clients", Unit: "ms", Limit: 5, AtMost: true},
	{Name: "million clients resident", Scenario: "million-clients", Unit: "MiB", Limit: 256, AtMost: true},
	{Name: "million clients start", Scenario: "million-clients", Unit: "ms", Limit: 1000, AtMost: true},
	{Name: "database growth", Scenario: "million-tokens-same-size", Unit: "bytes", Limit: 0, AtMost: true},
	{Name: "TOK-23 effect", Scenario: "timing", Unit: "|Cliff's delta|", Limit: negligibleEffect, AtMost: true},
}

// A verdict is one floor beside what was measured.
type verdict struct {
	floor
	Measured *float64 `json:"measured"` // nil if the scenario failed
	OK       bool     `json:"ok"`
}

// judge holds the figures against the floors of the scenarios that ran. A
// figure that is missing is a floor missed.
func judge(ran map[string]bool, figures map[string]float64) []verdict {
	var out []verdict
	for _, f := range floors {
		if !ran[f.Scenario] {
			continue
		}
		v := verdict{floor: f}
		if measured, ok := figures[f.Name]; ok {
			v.Measured = &measured
			v.OK = f.holds(measured)
		}
		out = append(out, v)
	}
	return out
}

func (f floor) holds(measured float64) bool {
	if f.AtMost {
		return measured <= f.Limit
	}
	return measured >= f.Limit
}

// limit is the floor as the table prints it.
func (f floor) limit() string {
	if f.AtMost {
		return fmt.Sprintf("≤ %.4g", f.Limit)
	}
	return fmt.Sprintf("≥ %.4g", f.Limit)
}
