package journal

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/doorward/doorward/internal/sqldb"
)

// VerifyInterval is how often a running [Verifier] reads the whole chain.
const VerifyInterval = 24 * time.Hour

// Verifier verifies the audit chain in the background and knows what came of
// it. It is safe for concurrent use.
type Verifier struct {
	DB  *sqldb.DB
	Now func() time.Time
	Log *slog.Logger

	Checkpoints *Checkpoints // that the chain must agree with; nil: none

	mu    sync.Mutex
	state ChainState
}

// ChainState is what the last verification found.
type ChainState struct {
	At     time.Time // zero: there was none yet
	Length int64
	Broken int64 // first bad position; 0: none
	Later  int64 // first record of a form that this version does not know; 0: none
}

// Run verifies now and then once a day, until the context ends.
func (v *Verifier) Run(ctx context.Context) {
	ticker := time.NewTicker(VerifyInterval)
	defer ticker.Stop()
	for {
		if err := v.Pass(ctx); err != nil && ctx.Err() == nil {
			v.Log.Error("the audit log could not be verified", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Pass verifies once. A chain that is broken, or that only a later version can
// verify, is no error of Pass.
func (v *Verifier) Pass(ctx context.Context) error {
	state := ChainState{At: v.Now()}
	var err error
	state.Length, err = v.verify(ctx)
	later, isLater := errors.AsType[*FormError](err)
	broken, isBroken := errors.AsType[*ChainError](err)
	switch {
	case isBroken:
		state.Broken = broken.Seq
		v.Log.Error("somebody changed the audit log in the database: compare it with a backup", "error", err)
	case isLater:
		state.Later = later.Seq
		v.Log.Warn("a later version has to verify the audit log", "error", err)
	case err != nil:
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.state = state
	return nil
}

func (v *Verifier) verify(ctx context.Context) (length int64, err error) {
	if v.Checkpoints == nil {
		return Verify(ctx, v.DB)
	}
	made, err := v.Checkpoints.All(ctx)
	if err != nil {
		return 0, err
	}
	return Verify(ctx, v.DB, made...)
}

// State is what the last verification found.
func (v *Verifier) State() ChainState {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.state
}
