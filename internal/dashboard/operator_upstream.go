package dashboard

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"

	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/egress"
	"github.com/doorward/doorward/internal/id"
)

// testPatience is how long an upstream that is tested may take.
const testPatience = 5 * time.Second

// testUpstream connects to an upstream as it is stored, and says what came of it.
func (d *dashboard) testUpstream(x *exchange) error {
	p, frame, err := x.changesProduct("Settings")
	if err != nil {
		return err
	}
	environment := id.Environment(x.value("environment"))
	address := p.Definition.Upstreams[environment]
	if address == "" {
		return errBadForm
	}
	result := view.UpstreamTest{Environment: string(environment), Address: address}
	result.OK, result.Text = reach(x.Context(), address)
	return x.showProductSettings(http.StatusOK, view.ProductSettings{Frame: frame, Form: formOf(&p.Definition), Test: &result})
}

// reach sends one request without credentials. Whatever answers can be reached.
func reach(ctx context.Context, address string) (ok bool, text string) {
	ctx, cancel := context.WithTimeout(ctx, testPatience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return false, "This is no URL that can be called."
	}
	client := egress.New(egress.Config{Policy: egress.Policy{Inside: true}, Timeout: testPatience})
	defer client.Close()
	begun := time.Now()
	answer, err := client.Do(r)
	switch {
	case errors.Is(err, egress.ErrTooLarge):
		return true, fmt.Sprintf("It answered in %d ms, at length. It can be reached.", time.Since(begun).Milliseconds())
	case err != nil:
		return false, causeOf(err, r.URL)
	}
	return true, fmt.Sprintf("It answered in %d ms with status %d. Any status will do: it can be reached.", time.Since(begun).Milliseconds(), answer.Status)
}

// causeOf says in words why nothing answered, and what to look at.
func causeOf(err error, target *url.URL) string {
	host := target.Host
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		if e.IsNotFound {
			return "The name " + target.Hostname() + " is not known. Compare it with the name of the machine, and see that this server asks the right name server."
		}
		return "The name server did not answer for " + target.Hostname() + "."
	}
	if e, ok := errors.AsType[x509.HostnameError](err); ok {
		return "Its certificate is for another name: " + e.Error() + "."
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if e.Reason == x509.Expired {
			return "Its certificate has expired, or is not valid yet."
		}
		return "Its certificate is not valid: " + e.Error() + "."
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "Its certificate was signed by an authority that this server does not trust. Add that authority to the system's certificates."
	}
	_, noTLS := errors.AsType[tls.RecordHeaderError](err)
	timeout, isTimeout := errors.AsType[net.Error](err)
	switch {
	case noTLS, errors.Is(err, http.ErrSchemeMismatch):
		return host + " does not speak TLS. Is it http://?"
	case errors.Is(err, egress.ErrRefused):
		return "It leads to a link-local address or to a metadata service, which is not called from here."
	case errors.Is(err, syscall.ECONNREFUSED):
		return "Nothing listens at " + host + ": the connection was refused. See that the service runs and listens on that port."
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "This server has no route to " + host + "."
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF):
		return host + " closed the connection without an answer. Is it https://?"
	case isTimeout && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return host + " did not answer within " + view.Duration(testPatience) + ". A firewall may drop the connection."
	}
	return "It cannot be reached: " + err.Error()
}
