//go:build !linux

package metrics

func registerProcess(*Registry) {}
