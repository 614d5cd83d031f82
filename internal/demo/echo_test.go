package demo_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/demo"
)

func TestEchoShowsWhatArrived(t *testing.T) {
	w := call(t, demo.NewEcho(""), ours, "PATCH", "/a%2Fb/ü?x=1&x=2&y=%26", "<hello>")
	want := map[string]any{
		"method": "PATCH",
		"host":   "example.com",
		"path":   "/a%2Fb/ü",
		"query":  map[string]any{"x": []any{"1", "2"}, "y": []any{"&"}},
		"headers": map[string]any{
			"Traceparent":         []any{"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
			"Doorward-Account-Id": []any{ours},
		},
		"body":         "<hello>",
		"bodyEncoding": "text",
	}
	if diff := cmp.Diff(want, decode(t, w)); diff != "" || w.Code != http.StatusOK {
		t.Errorf("status %d (-want +got):\n%s", w.Code, diff)
	}
	if strings.Contains(w.Body.String(), "<") {
		t.Errorf("markup is not escaped: %s", w.Body)
	}
}

func TestEchoSendsBinaryAsBase64(t *testing.T) {
	got := decode(t, call(t, demo.NewEcho(""), ours, "POST", "/", "\xff\x00"))
	if got["body"] != "/wA=" || got["bodyEncoding"] != "base64" {
		t.Errorf("body %v, encoding %v", got["body"], got["bodyEncoding"])
	}
}

func TestEchoRefusesMoreThanOneMebibyte(t *testing.T) {
	body := strings.Repeat("x", 1<<20)
	if w := call(t, demo.NewEcho(""), ours, "POST", "/", body+"x"); w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("status = %d, want 413", w.Code)
	}
	t.Run("twin", func(t *testing.T) {
		if w := call(t, demo.NewEcho(""), ours, "POST", "/", body); w.Code != http.StatusOK {
			t.Errorf("status = %d, want 200", w.Code)
		}
	})
}
