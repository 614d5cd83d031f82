package api

import (
	"context"
	"errors"
	"net/http"
	"net/netip"

	"github.com/doorward/doorward/internal/access"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/management"
)

func (c *call) ExplainCall(ctx context.Context, r ExplainCallRequestObject) (ExplainCallResponseObject, error) {
	key := id.Client(r.ClientID)
	by, err := c.Registry.AtClient(ctx, c.by, key)
	if err != nil {
		return nil, err
	}
	if _, err := c.Registry.Client(ctx, by, key); err != nil {
		return nil, err
	}
	request := &access.Request{Method: string(r.Params.Method), Target: r.Params.Target, Header: http.Header{}}
	if text := value(r.Params.Address); text != "" {
		if request.Peer, err = netip.ParseAddr(text); err != nil {
			return nil, wrongParameter("address", "write an IPv4 or IPv6 address")
		}
	}
	d, err := c.Explain(ctx, request, key)
	refusal, ok := errors.AsType[*fault.Error](err)
	if err != nil && (!ok || refusal.Kind == fault.Internal || refusal.Kind == fault.Unavailable) {
		return nil, err
	}
	return ExplainCall200JSONResponse(explanation(&d, refusal)), nil
}

// explanation is the decision, and its refusal if it is not nil. What the client
// would not be told of a product is left out.
func explanation(d *access.Decision, refusal *fault.Error) management.Explanation {
	w := management.Explanation{Allowed: refusal == nil, Status: http.StatusOK, Holds: append([]string{}, d.Permissions...)}
	if refusal != nil {
		row, _ := fault.Lookup(refusal.Code)
		detail := refusal.Detail()
		w.Status, w.Code, w.Title = row.Status, optional[string](row.Code), &row.Title
		w.Detail, w.Remedy = &detail, &row.Remedy
		if row.Code == fault.ProductUnknown {
			return w
		}
	}
	if d.Match.Product != nil {
		w.Product = &d.Match.Product.Key
	}
	if d.Match.Route != nil {
		matched := route(d.Match.Route)
		w.Route = &matched
	}
	w.AccountID, w.Environment = optional[string](d.Account), optional[management.Environment](d.Environment)
	return w
}
