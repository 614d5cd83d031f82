package dashboard

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"

	"github.com/doorward/doorward/internal/dashboard/view"
)

//go:embed assets/app.css assets/icon.svg assets/js/*.js assets/fonts/*.woff2
var files embed.FS

// scripts are the modules in the order in which they become one file: later
// ones use what earlier ones define.
var scripts = [...]string{"enhance", "copy", "palette", "keys", "live", "secret", "permissions"}

// asset is a file of ours with its content's hash in its path, so that it may
// be kept for ever.
type asset struct {
	path     string
	document *document
}

func newAsset(name, contentType string, content []byte) asset {
	hash := sha256.Sum256(content)
	extension := path.Ext(name)
	return asset{
		path:     "/assets/" + name[:len(name)-len(extension)] + "." + hex.EncodeToString(hash[:6]) + extension,
		document: newDocument(http.StatusOK, contentType, "public, max-age=31536000, immutable", content),
	}
}

// assets are all files that pages load.
type assets struct {
	all   []asset
	paths view.Assets
}

func loadAssets() assets {
	var a assets
	add := func(name, contentType string, content []byte) string {
		file := newAsset(name, contentType, content)
		a.all = append(a.all, file)
		return file.path
	}
	style := read("app.css")
	for _, name := range []string{"fonts/inter.woff2", "fonts/jetbrains-mono.woff2"} {
		hashed := add(name, "font/woff2", read(name))
		style = bytes.ReplaceAll(style, []byte("/assets/"+name), []byte(hashed))
	}
	a.paths.Font = a.all[0].path
	a.paths.Stylesheet = add("app.css", "text/css; charset=utf-8", style)
	a.paths.Icon = add("icon.svg", "image/svg+xml", read("icon.svg"))
	var script bytes.Buffer
	for _, name := range scripts {
		script.Write(read("js/" + name + ".js"))
	}
	a.paths.Script = add("app.js", "text/javascript; charset=utf-8", script.Bytes())
	return a
}

// read panics when a file is not embedded: a programmer's error, seen at start.
func read(name string) []byte {
	content, err := files.ReadFile("assets/" + name)
	if err != nil {
		panic("dashboard: " + err.Error())
	}
	return content
}
