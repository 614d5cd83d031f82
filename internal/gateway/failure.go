package gateway

import (
	"errors"
	"net"
	"net/http"

	"github.com/doorward/doorward/internal/fault"
)

// Why an answer broke off, for log and metrics; nobody gets these as an answer.
const (
	callerGone     fault.Code = "caller_gone"
	upstreamBroken fault.Code = "upstream_broken"
)

// fail answers when the upstream did not. The cause, which may hold its
// address, is for the log.
func (c *call) fail(cause error) {
	if c.incoming.Context().Err() != nil {
		panic(http.ErrAbortHandler) // to return would send an empty 200
	}
	c.refuse(c.failure(cause))
}

// failure tells whose fault it is that there is no answer.
func (c *call) failure(cause error) error {
	if problem := c.body.problem(); problem != nil {
		if tooLarge, ok := errors.AsType[*http.MaxBytesError](problem); ok {
			return fault.New(fault.BodyTooLarge, "send at most %d bytes", tooLarge.Limit)
		}
		return fault.New(fault.RequestMalformed, "the body of the request broke off or is not framed correctly; send it again as a whole")
	}
	if refusal, ok := errors.AsType[*fault.Error](cause); ok { // it was not asked
		return refusal
	}
	timeout, ok := errors.AsType[net.Error](cause)
	if dial, isDial := errors.AsType[*net.OpError](cause); ok && timeout.Timeout() && (!isDial || dial.Op != "dial") {
		return fault.New(fault.UpstreamTimeout, "the API product did not answer in time: %w", cause)
	}
	return fault.New(fault.UpstreamUnreachable, "the API product could not be reached or broke off its answer: %w", cause)
}

// abortedBy tells why an answer broke off.
func (c *call) abortedBy() fault.Code {
	switch {
	case c.incoming.Context().Err() != nil:
		return callerGone
	case c.response != nil:
		return upstreamBroken
	}
	return fault.InternalError
}
