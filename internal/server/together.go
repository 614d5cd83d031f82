package server

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/doorward/doorward/internal/redis"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/throttle"
)

// Redis names a Redis or Valkey server, in which all nodes count failed
// authentications. Without one they do so in the database.
type Redis struct {
	Address      string `koanf:"address"`       // host:port; default none
	Encryption   string `koanf:"encryption"`    // tls (default), or none in a network of one's own
	Username     string `koanf:"username"`      // default: the default user
	PasswordFile string `koanf:"password_file"` // or DOORWARD_REDIS__PASSWORD
	Database     int    `koanf:"database"`      // number; default 0
	RootsFile    string `koanf:"roots_file"`    // to trust the server by; default the system's
}

const (
	redisTLS   = "tls"
	redisPlain = "none"
)

// check looks at all that does not stand in files.
func (r Redis) check() error {
	if r.Address == "" {
		if r != (Redis{}) {
			return errors.New("redis.address: name the Redis server, or leave out the other settings of redis")
		}
		return nil
	}
	if _, _, err := net.SplitHostPort(r.Address); err != nil {
		return fmt.Errorf("redis.address: %q is no address: write host:port, like redis.example.com:6379", r.Address)
	}
	if r.Encryption != "" && r.Encryption != redisTLS && r.Encryption != redisPlain {
		return fmt.Errorf("redis.encryption: %q is not one of %s, %s", r.Encryption, redisTLS, redisPlain)
	}
	if r.Database < 0 {
		return errors.New("redis.database: not negative")
	}
	return nil
}

// open returns a client of the server, with its password and roots; nil if none
// is named. It does not connect.
func (r Redis) open() (*redis.Client, error) {
	if r.Address == "" {
		return nil, nil //nolint:nilnil // none is an answer
	}
	password := os.Getenv(environmentPrefix + "REDIS__PASSWORD")
	if r.PasswordFile != "" {
		text, err := os.ReadFile(r.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("redis.password_file: %w", err)
		}
		password = strings.TrimRight(string(text), "\r\n")
	}
	if r.Username != "" && password == "" {
		return nil, errors.New("redis.password_file: name the file with the password of redis.username, or set DOORWARD_REDIS__PASSWORD")
	}
	config := redis.Config{Address: r.Address, Username: r.Username, Database: r.Database, TLS: r.Encryption != redisPlain}
	if password != "" {
		config.Password = secret.NewPlaintext(password).Reveal
	}
	if r.RootsFile != "" {
		pem, err := os.ReadFile(r.RootsFile)
		if err != nil {
			return nil, fmt.Errorf("redis.roots_file: %w", err)
		}
		if config.Roots = x509.NewCertPool(); !config.Roots.AppendCertsFromPEM(pem) {
			return nil, errors.New("redis.roots_file: it holds no certificate in PEM form")
		}
	}
	return redis.New(config), nil
}

// openTogether chooses where failures are counted with the other nodes: in Redis
// if one is named, else in the database, and on SQLite, which has one node, only
// in its memory.
func (s *Server) openTogether(secretOfAll []byte) (err error) {
	if s.redis, err = s.config.Redis.open(); err != nil {
		return err
	}
	var share throttle.Share
	switch {
	case s.redis != nil:
		s.onClose(func() error { s.redis.Close(); return nil })
		share = throttle.InRedis(s.redis.Eval)
	case s.db.Engine() == "postgres":
		s.failures = throttle.NewDatabase(s.db)
		share = s.failures.Add
	default:
		return nil
	}
	key := hmac.New(sha256.New, secretOfAll)
	key.Write([]byte("names of failed authentications"))
	s.together = throttle.NewTogether(throttle.TogetherConfig{Share: share, Key: key.Sum(nil), Nodes: s.Nodes, Log: s.log})
	return nil
}

// forgetFailures keeps the counts in the database small.
func (s *Server) forgetFailures(ctx context.Context) {
	if s.failures != nil {
		s.failures.Run(ctx)
	}
}
