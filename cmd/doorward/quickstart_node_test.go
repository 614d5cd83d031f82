//go:build typescript

package main

import (
	"os"
	"path/filepath"
	"testing"
)

// `make test-typescript` builds the package first, and finds Node.js.
func TestQuickStartOfNodeRuns(t *testing.T) {
	d := startDev(t, t.TempDir())
	programs := quickStart(t, d)
	t.Run("no package", func(t *testing.T) { programs["node-plain"].check(t, d, "node-plain", t.TempDir()) })
	t.Run("@doorward/client", func(t *testing.T) {
		folder := t.TempDir()
		installed := filepath.Join(folder, "node_modules", "@doorward")
		if err := os.MkdirAll(installed, 0o700); err != nil {
			t.Fatal(err)
		}
		// npm install of a folder makes such a link.
		if err := os.Symlink(absolute(t, "../../clients/typescript"), filepath.Join(installed, "client")); err != nil {
			t.Fatal(err)
		}
		programs["node-library"].check(t, d, "node-library", folder)
	})
}
