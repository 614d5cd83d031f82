// Package clienttest checks client libraries, in any language, against the one
// behaviour that docs/clients.md promises. It plays the authorization server and
// the API on loopback, starts the client as a child process, drives it with lines
// of JSON over the child's standard input and output, and judges by the requests
// that arrive.
//
// What must stay true: a row judges one behaviour only, so that a client with one
// defect fails one row; and a good client passes on however slow a machine,
// because nothing is measured in real time: the client's clock stands still and
// moves when the row says so.
package clienttest

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"
)

// Outcome of a row.
type Outcome string

// The outcomes.
const (
	Passed      Outcome = "passed"
	Failed      Outcome = "failed"
	NotObserved Outcome = "not observed" // the client lacks a capability that the row needs, or no Redis was given
)

// Row is one promise of the contract.
type Row struct {
	Name  string   // short, as reports print it
	Says  string   // the promise, one sentence
	Needs []string // capabilities without which it cannot be observed
	check func(*trial)
}

// Verdict is what came of one row.
type Verdict struct {
	Row     Row
	Outcome Outcome
	Reason  string // "" if the row passed
}

// Subject is a client process and what it may use.
type Subject struct {
	Command     []string  // program and arguments; one process goes through the rows, some rows start another
	Environment []string  // as of exec.Cmd; nil: this process's
	Redis       string    // host:port of a Redis for the rows that share tokens; "": these are not observed
	Stderr      io.Writer // where the client's standard error goes too; nil: nowhere
}

// rowTime bounds one row, however long a defective client takes.
const rowTime = 2 * time.Minute

// Rows lists the contract in the order of reports.
func Rows() []Row {
	return slices.Concat(flightRows(), renewalRows(), failureRows(), refusalRows(), separationRows(), redisRows(), endRows())
}

// Run checks the rows one after the other. It fails only if ctx ends.
func Run(ctx context.Context, subject Subject, rows []Row) ([]Verdict, error) {
	verdicts := make([]Verdict, 0, len(rows))
	var client *process // of the row before, unless that failed
	defer func() { client.end() }()
	for _, row := range rows {
		t := &trial{ctx: ctx, subject: subject, client: client}
		verdicts = append(verdicts, t.try(row))
		client = t.client
		if err := context.Cause(ctx); err != nil {
			return verdicts, fmt.Errorf("stopped in row %q: %w", row.Name, err)
		}
	}
	return verdicts, nil
}

// try checks the row. It leaves the client for the next one.
func (t *trial) try(row Row) Verdict {
	ctx, cancel := context.WithTimeout(t.ctx, rowTime)
	defer cancel()
	t.ctx = ctx
	t.start()
	defer t.end()
	switch {
	case t.err != nil:
	case t.lacks(row.Needs) != "":
		return Verdict{Row: row, Outcome: NotObserved, Reason: "needs " + t.lacks(row.Needs)}
	default:
		row.check(t)
	}
	if t.err != nil {
		return Verdict{Row: row, Outcome: Failed, Reason: t.err.Error()}
	}
	return Verdict{Row: row, Outcome: Passed}
}
