//go:build !linux

package server

import "runtime/debug"

// settle gives back what only the start needed.
func settle() error {
	debug.FreeOSMemory()
	return nil
}
