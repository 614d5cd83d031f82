package api

import (
	"context"
	"encoding/json"

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
