package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/registry"
)

// Longest bodies.
const (
	maxBody       = 64 << 10
	maxDefinition = 4 << 20 // of what can be large: see largeBodies
)

// largeBodies are the operations that take definitions of products.
var largeBodies = []string{"putProduct", "planDeclaration", "applyDeclaration"}

// checkQuery refuses parameters that the operation does not know, which would
// otherwise pass as a filter that is not there, and those that come twice.
func (c *call) checkQuery(o *operation, rawQuery string) error {
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return fault.New(fault.RequestMalformed, "the query cannot be read: check its escapes")
	}
	known := o.queryParameters()
	for name, values := range query {
		switch {
		case slices.Contains(c.Ignored, name):
		case !slices.Contains(known, name):
			return wrongParameter(name, "this operation has no such parameter")
		case len(values) > 1:
			return wrongParameter(name, "it came more than once")
		}
	}
	return nil
}

// readBody reads the body as far as the operation has one. The generated code
// then reads it from memory.
func (c *call) readBody(w http.ResponseWriter, o *operation) error {
	if o.Body == nil {
		if c.request.ContentLength != 0 {
			return fault.Errorf(fault.Invalid, "this operation takes no body: send none")
		}
		return nil
	}
	limit := int64(maxBody)
	if slices.Contains(largeBodies, o.ID) {
		limit = maxDefinition
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, c.request.Body, limit))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return fault.New(fault.BodyTooLarge, "send at most %d bytes", limit)
	}
	if err != nil {
		return fault.New(fault.RequestMalformed, "the body of the request broke off; send it again as a whole")
	}
	if len(body) > 0 || o.Body.Required {
		media, _, err := mime.ParseMediaType(c.request.Header.Get("Content-Type"))
		if err != nil || media != "application/json" {
			return fault.New(fault.UnsupportedMedia, "send the body as JSON with Content-Type: application/json")
		}
	}
	if len(bytes.TrimSpace(body)) == 0 && o.Body.Required {
		return fault.Errorf(fault.Invalid, "this operation needs a body: a JSON object")
	}
	c.body = body
	c.request.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

// strictly decodes the body once more into the type of the operation, and
// refuses what the generated code passes over: members that the contract does
// not have, names in another case, members twice, and anything behind the value.
func (c *call) strictly(next StrictHandlerFunc, _ string) StrictHandlerFunc {
	return func(ctx context.Context, w http.ResponseWriter, r *http.Request, request any) (any, error) {
		body := reflect.ValueOf(request).FieldByName("Body")
		if body.IsValid() && !body.IsNil() {
			if err := decodeStrictly(c.body, body.Type().Elem()); err != nil {
				return nil, err
			}
		}
		return next(ctx, w, r, request)
	}
}

func decodeStrictly(text []byte, into reflect.Type) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(reflect.New(into).Interface()); err != nil {
		return wrongRequest(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return fault.Errorf(fault.Invalid, "something stands behind the JSON object: send one object")
	}
	decoder = json.NewDecoder(bytes.NewReader(text))
	return exactNames(decoder, into)
}

// exactNames walks a value that fits the type, and refuses what encoding/json
// lets pass: names in another case, and the same name twice.
func exactNames(decoder *json.Decoder, t reflect.Type) error {
	token, err := decoder.Token()
	if err != nil {
		return wrongRequest(err)
	}
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch token {
	case json.Delim('{'):
		seen := map[string]bool{}
		for decoder.More() {
			token, err := decoder.Token()
			if err != nil {
				return wrongRequest(err)
			}
			name, _ := token.(string)
			member, known := memberOf(t, name)
			if !known {
				return wrongParameter(name, "there is no member of that name; mind upper and lower case")
			}
			if seen[name] {
				return wrongParameter(name, "it came more than once")
			}
			seen[name] = true
			if err := exactNames(decoder, member); err != nil {
				return err
			}
		}
		_, err = decoder.Token()
	case json.Delim('['):
		for decoder.More() {
			var element reflect.Type
			if t != nil && t.Kind() == reflect.Slice {
				element = t.Elem()
			}
			if err := exactNames(decoder, element); err != nil {
				return err
			}
		}
		_, err = decoder.Token()
	case nil:
		return fault.Errorf(fault.Invalid, "the body holds null: leave a member out instead")
	}
	return err
}

func memberOf(t reflect.Type, name string) (member reflect.Type, known bool) {
	if t == nil || t.Kind() != reflect.Struct {
		return nil, true
	}
	for i := range t.NumField() {
		tag, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if tag == name {
			return t.Field(i).Type, true
		}
	}
	return nil, false
}

// wrongRequest says what is wrong with a request in terms of the contract.
func wrongRequest(err error) error {
	if already, ok := errors.AsType[*fault.Error](err); ok {
		return already
	}
	if e, ok := errors.AsType[*InvalidParamFormatError](err); ok {
		return wrongParameter(e.ParamName, "it is not of the form that the contract gives")
	}
	if e, ok := errors.AsType[*RequiredParamError](err); ok {
		return wrongParameter(e.ParamName, "it is missing")
	}
	if e, ok := errors.AsType[*RequiredHeaderError](err); ok {
		return wrongParameter(e.ParamName, "it is missing")
	}
	if e, ok := errors.AsType[*TooManyValuesForParamError](err); ok {
		return wrongParameter(e.ParamName, "it came more than once")
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && e.Field != "" {
		return wrongParameter(e.Field, "it is of another type in the contract")
	}
	if _, name, ok := strings.Cut(err.Error(), `json: unknown field "`); ok {
		return wrongParameter(strings.TrimSuffix(name, `"`), "there is no member of that name")
	}
	return fault.Errorf(fault.Invalid, "the request cannot be read as the contract has it: send a JSON object with the members of this operation: %w", err)
}

func wrongParameter(name, reason string) error {
	if len(name) > 100 {
		name = name[:100]
	}
	name = strings.ToValidUTF8(name, "\uFFFD")
	err := fault.New(fault.InvalidRequest, "%s: %s", name, reason)
	err.Params = []fault.Param{{Name: name, Reason: reason}}
	return err
}

// versionOf reads If-Match, one entity tag as ETag gave it (RFC 9110 §13.1.1).
// 0 is any version.
func versionOf(ifMatch *string) (int64, error) {
	if ifMatch == nil || *ifMatch == "*" {
		return 0, nil
	}
	text, ok := strings.CutPrefix(*ifMatch, `"`)
	text, closed := strings.CutSuffix(text, `"`)
	version, err := strconv.ParseInt(text, 10, 64)
	if !ok && !closed {
		version, err = strconv.ParseInt(*ifMatch, 10, 64) // the version itself
	} else if ok != closed {
		err = strconv.ErrSyntax
	}
	if err != nil || version < 1 {
		return 0, wrongParameter("If-Match", `give one version as ETag gave it, like "3"`)
	}
	return version, nil
}

func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// once is the registry for a request that may be repeated.
func (c *call) once(key *string) (*registry.Registry, error) {
	if key == nil {
		return c.Registry, nil
	}
	ok := *key != "" && len(*key) <= 100
	for _, b := range []byte(*key) {
		ok = ok && b > ' ' && b <= '~'
	}
	if !ok {
		return nil, wrongParameter("Idempotency-Key", "give 1 to 100 visible ASCII characters, such as a UUID")
	}
	digest := sha256.New()
	fmt.Fprintf(digest, "%s\n%s\n", c.request.Method, c.request.RequestURI)
	digest.Write(c.body)
	return c.Registry.Once(*key, digest.Sum(nil)), nil
}

// created is the id of what was created, now or by an earlier request.
func created[ID ~string](made ID, err error) (ID, error) {
	if earlier, ok := errors.AsType[*registry.Repeated](err); ok {
		return ID(earlier.Subject), nil
	}
	return made, err
}

// gone turns what cannot be found again into the answer of a repeated request.
func gone(err error) error {
	if fault.KindOf(err) == fault.NotFound {
		return fault.New(fault.IdempotencyKeyReused, "what the earlier request with this Idempotency-Key created is gone")
	}
	return err
}
