package tokensource

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Variables of the environment that FromEnvironment reads.
const (
	envTokenURL     = "DOORWARD_TOKEN_URL"
	envClientID     = "DOORWARD_CLIENT_ID"
	envClientSecret = "DOORWARD_CLIENT_SECRET"
	envScopes       = "DOORWARD_SCOPES" // separated by spaces
	envAudience     = "DOORWARD_AUDIENCE"
	envAuthStyle    = "DOORWARD_AUTH_STYLE" // basic or post
	envProfile      = "DOORWARD_PROFILE"    // a profile to begin with
)

// FromEnvironment is the configuration that the variables DOORWARD_TOKEN_URL,
// DOORWARD_CLIENT_ID, DOORWARD_CLIENT_SECRET, DOORWARD_SCOPES (separated by
// spaces), DOORWARD_AUDIENCE and DOORWARD_AUTH_STYLE (basic or post) describe.
// Where DOORWARD_PROFILE names a profile, they win over its fields. What is
// missing is left empty; New says so.
func FromEnvironment() (Config, error) {
	var config Config
	if name := os.Getenv(envProfile); name != "" {
		var err error
		if config, err = FromProfile(name); err != nil {
			return Config{}, fmt.Errorf("%s: %w", envProfile, err)
		}
	}
	secret := string(config.ClientSecret)
	for name, field := range map[string]*string{
		envTokenURL: &config.TokenURL, envClientID: &config.ClientID, envClientSecret: &secret, envAudience: &config.Audience,
	} {
		if value := os.Getenv(name); value != "" {
			*field = value
		}
	}
	config.ClientSecret = Secret(secret)
	if scopes := strings.Fields(os.Getenv(envScopes)); len(scopes) > 0 {
		config.Scopes = scopes
	}
	switch style := os.Getenv(envAuthStyle); style {
	case "", "basic":
	case "post":
		config.AuthStyle = AuthPost
	default:
		return Config{}, fmt.Errorf("%s is %q, use basic or post", envAuthStyle, style)
	}
	return config, nil
}

const (
	defaultProfile = "default"
	maxProfile     = 64 << 10 // bytes
)

// FromProfile is the configuration in a profile that `doorward login` stored, the
// one of the name "default" if name is empty. A file that others than its owner
// may read is refused.
func FromProfile(name string) (Config, error) {
	if name == "" {
		name = defaultProfile
	}
	path, err := ProfilePath(name)
	if err != nil {
		return Config{}, err
	}
	text, err := readPrivate(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Config{}, fmt.Errorf("no profile %q at %s; store one with: doorward login", name, path)
	}
	if err != nil {
		return Config{}, fmt.Errorf("profile %q: %w", name, err)
	}
	var profile struct {
		TokenURL     string   `json:"token_url"`
		ClientID     string   `json:"client_id"`
		ClientSecret string   `json:"client_secret"`
		Scopes       []string `json:"scopes"`
		Audience     string   `json:"audience"`
	}
	if err := json.Unmarshal(text, &profile); err != nil {
		return Config{}, fmt.Errorf("profile %q: %s is not the JSON of a profile; store it anew with: doorward login", name, path) // the cause could quote the secret
	}
	config := Config{
		TokenURL: profile.TokenURL, ClientID: profile.ClientID, ClientSecret: Secret(profile.ClientSecret),
		Scopes: profile.Scopes, Audience: profile.Audience,
	}
	if err := config.check(); err != nil {
		return Config{}, fmt.Errorf("profile %q: %w", name, err)
	}
	return config, nil
}

// ProfilePath is the file of the profile: doorward/profiles/<name>.json in the
// user's configuration directory. A name is 1 to 64 of a-z, 0-9, - and _.
func ProfilePath(name string) (string, error) {
	if name == "" || len(name) > 64 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		return "", fmt.Errorf("profile %q: a name is 1 to 64 of a-z, 0-9, - and _", name)
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("find profiles: %w", err)
	}
	return filepath.Join(dir, "doorward", "profiles", name+".json"), nil
}

// readPrivate reads a file that its owner alone may read.
func readPrivate(path string) ([]byte, error) {
	file, err := os.Open(path) //nolint:gosec // of the user's own configuration directory
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	// Windows has no such mode; there the directory is the user's own.
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("others may read %s, which holds a secret: chmod 600 it", path)
	}
	return io.ReadAll(io.LimitReader(file, maxProfile))
}
