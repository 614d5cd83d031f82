package dashboard

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"net/http"
)

//go:embed assets/app.css
var appCSS []byte

//go:embed assets/icon.svg
var iconSVG []byte

// asset is a file of ours with its content's hash in its path, so that it may
// be kept for ever.
type asset struct {
	path     string
	document *document
}

func newAsset(name, extension, contentType string, content []byte) asset {
	hash := sha256.Sum256(content)
	return asset{
		path:     "/assets/" + name + "." + hex.EncodeToString(hash[:6]) + extension,
		document: newDocument(http.StatusOK, contentType, "public, max-age=31536000, immutable", content),
	}
}
