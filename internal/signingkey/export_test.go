package signingkey

import "context"

// Check does once what Run does about every minute.
func (r *Ring) Check(ctx context.Context) error { return r.check(ctx) }
