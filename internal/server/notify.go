package server

import (
	"errors"
	"net"
	"os"
)

// What systemd is told, as sd_notify(3) has it.
const (
	isReady    = "READY=1"
	isStopping = "STOPPING=1"
)

// tellSystemd says how far the server is, where systemd waits for that
// (Type=notify); elsewhere it does nothing.
func (s *Server) tellSystemd(state string) {
	name := os.Getenv("NOTIFY_SOCKET") // one that begins with @ is an abstract socket, to net too
	if name == "" {
		return
	}
	socket, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err == nil {
		_, err = socket.Write([]byte(state))
		err = errors.Join(err, socket.Close())
	}
	if err != nil {
		s.log.Error("systemd could not be told", "state", state, "error", err)
	}
}
