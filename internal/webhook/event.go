package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/egress"
)

// maxDetail bounds what an event says about the change itself; a longer one
// is left out, and stands in the audit log.
const maxDetail = 64 << 10

// event is an audit record that waits.
type event struct {
	seq                           int64
	at                            time.Time
	organisation, action, subject string
	actor, requestID, address     string
	content                       []byte // JSON; nil once erased
	digest                        []byte
}

// id is the same at each attempt, and tells nothing of how much happens
// elsewhere, as a number of the audit log would.
func (e *event) id() string { return hex.EncodeToString(e.digest[:16]) }

// cloudEvent is the JSON format of CloudEvents 1.0.
type cloudEvent struct {
	SpecVersion     string    `json:"specversion"`
	ID              string    `json:"id"`
	Source          string    `json:"source"`
	Type            string    `json:"type"`
	Subject         string    `json:"subject"`
	Time            time.Time `json:"time"`
	DataContentType string    `json:"datacontenttype"`
	Data            data      `json:"data"`
}

// data is what an audit record holds. Edit and Before are absent when the
// record was erased or they are too long.
type data struct {
	Action       string          `json:"action"`
	Organisation string          `json:"organisation_id,omitempty"` // absent: the operator's own
	Actor        string          `json:"actor"`
	RequestID    string          `json:"request_id,omitempty"`
	Address      string          `json:"address,omitempty"`
	Edit         json.RawMessage `json:"edit,omitempty"`
	Before       json.RawMessage `json:"before,omitempty"`
}

// typePrefix stands before the action in an event's type.
const typePrefix = "doorward."

func (e *event) body(source string) ([]byte, error) {
	d := data{Action: e.action, Organisation: e.organisation, Actor: e.actor, RequestID: e.requestID, Address: e.address}
	if e.content != nil && len(e.content) <= maxDetail {
		var detail struct{ Edit, Before json.RawMessage }
		if err := json.Unmarshal(e.content, &detail); err != nil {
			return nil, fmt.Errorf("read audit record %d: %w", e.seq, err)
		}
		d.Edit, d.Before = detail.Edit, detail.Before
	}
	return json.Marshal(cloudEvent{
		SpecVersion: "1.0", ID: e.id(), Source: source, Type: typePrefix + e.action, Subject: e.subject,
		Time: e.at, DataContentType: "application/json", Data: d,
	})
}

// sign is the signature scheme v1 of Standard Webhooks, one for each key.
func sign(keys [][]byte, id, timestamp string, body []byte) string {
	signatures := make([]string, len(keys))
	for i, key := range keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + timestamp + "."))
		mac.Write(body)
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(signatures, " ")
}

// failure says to the webhook's owner why an attempt failed; empty is success.
// It holds nothing that the receiver sent but its status.
type failure string

// attempt sends the event once. gone says that the receiver wants no more.
func (d *Dispatcher) attempt(ctx context.Context, t *target, e *event) (why failure, gone bool) {
	start := d.config.Now()
	r, err := d.request(ctx, t, e)
	if err != nil {
		d.config.Log.ErrorContext(ctx, "make an event for a webhook", "webhook", t.id, "error", err)
		return "the event could not be made; the operator's log says why", false
	}
	answer, err := d.config.Client.Do(r)
	d.tally.seconds.Observe(d.config.Now().Sub(start).Seconds())
	switch {
	case err != nil:
		why = reasonOf(err)
	case answer.Status < 200 || answer.Status > 299:
		why = failure("the receiver answered " + strconv.Itoa(answer.Status) + "; it should answer 2xx at once and do its work later")
	}
	d.tally.count(why)
	return why, err == nil && answer.Status == http.StatusGone
}

func (d *Dispatcher) request(ctx context.Context, t *target, e *event) (*http.Request, error) {
	body, err := e.body(d.config.Source)
	if err != nil {
		return nil, err
	}
	keys, err := d.open(t)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	timestamp := strconv.FormatInt(d.config.Now().Unix(), 10)
	r.Header.Set("Content-Type", "application/cloudevents+json; charset=UTF-8")
	r.Header.Set("User-Agent", "Doorward-Webhook/1")
	r.Header.Set("Webhook-Id", e.id())
	r.Header.Set("Webhook-Timestamp", timestamp)
	r.Header.Set("Webhook-Signature", sign(keys, e.id(), timestamp, body))
	return r, nil
}

// reasonOf is what the owner may know of an error: nothing of our network.
func reasonOf(err error) failure {
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var noTLS tls.RecordHeaderError
	switch {
	case errors.Is(err, egress.ErrRefused):
		return "the address is not a public one; choose another, or have the operator allow its network"
	case errors.Is(err, egress.ErrTooLarge):
		return "the receiver's answer is too long; it should be empty"
	case errors.Is(err, context.DeadlineExceeded):
		return "the receiver did not answer in time; it should answer 2xx at once and do its work later"
	case errors.As(err, &dns):
		return "the host name does not resolve"
	case errors.As(err, &certificate), errors.As(err, &noTLS):
		return "the TLS handshake failed; check the receiver's certificate and its chain"
	}
	return "no connection to the receiver, or it broke"
}
