package api

import (
	"context"
	"encoding/json"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/management"
)

func (c *call) ListAuditRecords(ctx context.Context, r ListAuditRecordsRequestObject) (ListAuditRecordsResponseObject, error) {
	p := r.Params
	by, err := c.in(ctx, p.OrganisationID)
	if err != nil {
		return nil, err
	}
	list, err := c.Registry.AuditRecords(ctx, by, registry.AuditFilter{
		Action: value(p.Action), Subject: value(p.Subject), Actor: value(p.Actor), From: value(p.From), Until: value(p.Until),
	}, page(p.Limit, p.Cursor))
	if err != nil {
		return nil, err
	}
	out := ListAuditRecords200JSONResponse{Items: make([]management.AuditRecord, len(list.Items)), Next: optional[string](list.Next)}
	for i, a := range list.Items {
		out.Items[i] = management.AuditRecord{
			Seq: a.Seq, At: a.At, OrganisationID: optional[string](a.Organisation), Action: a.Action, Subject: a.Subject, Actor: a.Actor,
			RequestID: optional[string](a.RequestID), Address: optional[string](a.Address),
		}
		if a.Content == nil {
			continue
		}
		if err := json.Unmarshal(a.Content, &out.Items[i].Content); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// ListAuditCheckpoints is the operator's: the chain is one for all organisations,
// and tells how much they do.
func (c *call) ListAuditCheckpoints(ctx context.Context, r ListAuditCheckpointsRequestObject) (ListAuditCheckpointsResponseObject, error) {
	if err := c.by.Require(actor.AuditRead, ""); err != nil {
		return nil, err
	}
	if !c.by.Operator() {
		return nil, fault.Errorf(fault.Forbidden, "checkpoints are of the whole installation: ask its operator")
	}
	limit := int64(20)
	if r.Params.Limit != nil {
		limit = int64(*r.Params.Limit)
	}
	made, err := c.Checkpoints.Newest(ctx, limit)
	if err != nil {
		return nil, err
	}
	return ListAuditCheckpoints200JSONResponse{Items: items(made, func(m *journal.Checkpoint) management.AuditCheckpoint {
		return management.AuditCheckpoint{Sequence: m.Sequence, Link: m.Link, At: m.At, Key: m.Key, Signature: m.Signature}
	})}, nil
}
