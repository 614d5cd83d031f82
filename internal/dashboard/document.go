package dashboard

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strconv"
	"strings"
)

// document is a body that is the same for everybody: compressed once, at start.
type document struct {
	status       int
	contentType  string
	cacheControl string
	plain        []byte
	zipped       []byte
}

func newDocument(status int, contentType, cacheControl string, body []byte) *document {
	return &document{status, contentType, cacheControl, body, zip(body)}
}

func (d *document) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h, body := w.Header(), d.plain
	h.Set("Content-Type", d.contentType)
	h.Set("Cache-Control", d.cacheControl)
	h.Add("Vary", "Accept-Encoding")
	if acceptsGzip(r.Header.Get("Accept-Encoding")) && len(d.zipped) < len(d.plain) {
		h.Set("Content-Encoding", "gzip")
		body = d.zipped
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(d.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) //nolint:gosec // G705: the body is ours. A reader that is gone needs no answer.
	}
}

// acceptsGzip reads Accept-Encoding (RFC 9110 §12.5.3). A weight other than
// none or one counts as a no, which costs bytes and nothing else.
func acceptsGzip(header string) bool {
	for coding := range strings.SplitSeq(header, ",") {
		name, weight, _ := strings.Cut(coding, ";")
		weight = strings.TrimSpace(weight)
		if strings.EqualFold(strings.TrimSpace(name), "gzip") && (weight == "" || strings.HasPrefix(weight, "q=1")) {
			return true
		}
	}
	return false
}

// zip compresses in memory, where writing cannot fail.
func zip(body []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(body)
	_ = w.Close()
	return b.Bytes()
}
