package tokensource

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// settings empties the variables and puts the user's configuration in a folder of
// the test; it returns the folder of profiles.
func settings(t *testing.T) string {
	t.Helper()
	for _, name := range []string{envTokenURL, envClientID, envClientSecret, envScopes, envAudience, envAuthStyle, envProfile} {
		t.Setenv(name, "")
	}
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(home, ".config"))
	t.Setenv("AppData", home)
	path, err := ProfilePath("x")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(path)
}

const goodProfile = `{"url":"https://api.example.com","token_url":"` + tokenURL + `","client_id":"` + clientID + `","client_secret":"` + secret + `","scopes":["a"],"later":1}`

func profile(t *testing.T, folder, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, name+".json"), []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func wantConfig(t *testing.T, got, want Config) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(Secret(""))); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}

func TestEnvironmentConfigures(t *testing.T) {
	settings(t)
	for name, value := range map[string]string{
		envTokenURL: tokenURL, envClientID: clientID, envClientSecret: secret, envScopes: " a  b ", envAudience: "x", envAuthStyle: "post",
	} {
		t.Setenv(name, value)
	}
	got, err := FromEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	wantConfig(t, got, Config{TokenURL: tokenURL, ClientID: clientID, ClientSecret: secret, Scopes: []string{"a", "b"}, Audience: "x", AuthStyle: AuthPost})
	t.Setenv(envAuthStyle, "jwt")
	if _, err := FromEnvironment(); err == nil {
		t.Error("no error of an unknown style")
	}
}

func TestEnvironmentWinsOverItsProfile(t *testing.T) {
	folder := settings(t)
	profile(t, folder, "work", goodProfile, 0o600)
	t.Setenv(envProfile, "work")
	t.Setenv(envClientID, "another")
	got, err := FromEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	wantConfig(t, got, Config{TokenURL: tokenURL, ClientID: "another", ClientSecret: secret, Scopes: []string{"a"}})
}

func TestProfileIsReadIfItIsPrivateAndWhole(t *testing.T) {
	folder := settings(t)
	profile(t, folder, "default", goodProfile, 0o600)
	for name, row := range map[string]struct {
		profile, text string
		mode          os.FileMode
		want          string
	}{
		"open to others":   {"work", goodProfile, 0o640, "chmod 600"},
		"not JSON":         {"work", `{"client_secret":"` + secret + `"`, 0o600, "not the JSON"},
		"incomplete":       {"work", `{"token_url":"` + tokenURL + `"}`, 0o600, "client id and client secret are required"},
		"http":             {"work", strings.Replace(goodProfile, "https://api.example.com/auth", "http://api.example.com/auth", 1), 0o600, "must be https"},
		"name with a path": {"../work", goodProfile, 0o600, "a name is"},
		"missing":          {"nowhere", "", 0, "doorward login"},
	} {
		t.Run(name, func(t *testing.T) {
			_ = os.Remove(filepath.Join(folder, "work.json"))
			if row.profile == "work" {
				profile(t, folder, "work", row.text, row.mode)
			}
			_, err := FromProfile(row.profile)
			if err == nil || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), secret) {
				t.Errorf("error = %v, want one with %q and without the secret", err, row.want)
			}
			t.Run("twin", func(t *testing.T) {
				got, err := FromProfile("")
				if err != nil {
					t.Fatal(err)
				}
				wantConfig(t, got, Config{TokenURL: tokenURL, ClientID: clientID, ClientSecret: secret, Scopes: []string{"a"}})
			})
		})
	}
}
