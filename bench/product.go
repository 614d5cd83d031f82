package main

import (
	"context"
	"errors"
)

// seedProduct fulfils an order with the product itself.
func seedProduct(context.Context, order) (*installation, error) {
	return nil, errors.New("the product is not plugged in yet: only the ceilings can be measured")
}
