package api

import (
	"context"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/management"
)

func (c *call) ListNodes(ctx context.Context, r ListNodesRequestObject) (ListNodesResponseObject, error) {
	if err := c.by.Require(actor.NodeRead, ""); err != nil {
		return nil, err
	}
	spread, err := journal.SpreadOf(ctx, c.DB, value(r.Params.Revision))
	if err != nil {
		return nil, err
	}
	return ListNodes200JSONResponse{
		Revision: spread.Revision, InForce: spread.InForce(),
		Items: items(spread.Nodes, func(n *journal.Node) management.Node {
			return management.Node{
				ID: n.ID, Name: n.Name, Version: n.Version, Revision: n.Revision, InForce: n.InForce, Silent: n.Silent,
				StartedAt: n.Started, HeardAt: n.Heard, StopsBy: optionalTime(n.StopsBy),
			}
		}),
	}, nil
}
