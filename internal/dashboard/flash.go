package dashboard

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/dashboard/view"
)

// flashTime is how long the next page may take to come.
const flashTime = time.Minute

// done answers a form that was carried out: the page at path comes next and
// says so, once. After a form that asked others it is the page of requests.
func (x *exchange) done(path, text string, undo *view.Action) error {
	if x.asked {
		path, text, undo = "/o/"+string(x.organisation.ID)+"/requests", "Your request is sent to those who can make the change.", nil
	}
	content, err := json.Marshal(view.Flash{Tone: "ok", Text: text, Undo: undo})
	if err != nil {
		return err
	}
	x.setCookie(flashCookie, base64.RawURLEncoding.EncodeToString(append(x.flashTag(content), content...)), flashTime)
	return x.redirect(path)
}

// takeFlash returns what was just done in this session. Only what we wrote
// counts: a cookie can be planted, and a flash may carry a button.
func (x *exchange) takeFlash() *view.Flash {
	text := x.cookie(flashCookie)
	if text == "" || strings.Contains(x.Header.Get("Sec-Purpose"), "prefetch") || x.Header.Get("X-Fragment") != "" {
		return nil
	}
	x.setCookie(flashCookie, "", 0)
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(sealed) < flashTagLength {
		return nil
	}
	tag, content := sealed[:flashTagLength], sealed[flashTagLength:]
	if subtle.ConstantTimeCompare(tag, x.flashTag(content)) != 1 {
		return nil
	}
	f := &view.Flash{}
	if json.Unmarshal(content, f) != nil {
		return nil
	}
	return f
}

const flashTagLength = 16

func (x *exchange) flashTag(content []byte) []byte {
	tag := x.d.Registry.Mint.Authenticate("flash", append([]byte(x.session.ID+"\x00"), content...))
	return tag[:flashTagLength]
}
