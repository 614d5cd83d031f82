package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/doorward/doorward/tokensource"
)

// profile is what `doorward login` stores: what tokensource reads of it, and
// what the command line needs besides.
type profile struct {
	URL           string // of the API domain
	ManagementURL string // where the management API answers
	Organisation  string // where a client of the operator acts; "": nowhere
	tokens        tokensource.Config
}

// stored is the file of a profile; docs/clients.md says what others read of it.
type stored struct {
	URL           string   `json:"url"`
	ManagementURL string   `json:"management_url,omitempty"`
	TokenURL      string   `json:"token_url"`
	ClientID      string   `json:"client_id"`
	ClientSecret  string   `json:"client_secret"`
	Scopes        []string `json:"scopes"`
	Audience      string   `json:"audience"`
	Organisation  string   `json:"organisation_id,omitempty"`
}

const defaultProfile = "default"

// readProfile reads a profile, over which the environment wins. Without a
// file the environment must say it all.
func readProfile(name string) (p profile, err error) {
	path, err := profilePath(name)
	if err != nil {
		return p, err
	}
	switch _, err = os.Stat(path); {
	case err == nil:
		err = os.Setenv("DOORWARD_PROFILE", name) // --profile is that variable for one run
	case !errors.Is(err, fs.ErrNotExist):
	case os.Getenv("DOORWARD_CLIENT_ID") == "":
		err = fmt.Errorf("you are not signed in as %q: run doorward login --url URL --client-id ID", name)
	default:
		err = os.Unsetenv("DOORWARD_PROFILE")
	}
	if err != nil {
		return p, err
	}
	if p.tokens, err = tokensource.FromEnvironment(); err != nil {
		return p, err
	}
	if err := p.readOwn(path); err != nil {
		return p, err
	}
	for name, field := range map[string]*string{"URL": &p.URL, "MANAGEMENT_URL": &p.ManagementURL, "ORGANISATION": &p.Organisation} {
		if value := os.Getenv("DOORWARD_" + name); value != "" {
			*field = value
		}
	}
	p.tokens.Cache = tokenCache{}
	return p, p.complete()
}

// readOwn reads what tokensource leaves in the file, which it found good.
func (p *profile) readOwn(path string) error {
	text, err := os.ReadFile(path) //nolint:gosec // of the user's own configuration folder
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var s stored
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	p.URL, p.ManagementURL, p.Organisation = s.URL, s.ManagementURL, s.Organisation
	return err
}

func profilePath(name string) (string, error) {
	path, err := tokensource.ProfilePath(name)
	if err != nil {
		return "", usageError{err}
	}
	return path, nil
}

// complete fills in what follows from the URL, and checks it.
func (p *profile) complete() error {
	for name, field := range map[string]*string{"--url": &p.URL, "--management-url": &p.ManagementURL} {
		if *field == "" {
			continue
		}
		u, err := url.Parse(*field)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.User != nil {
			return usageError{fmt.Errorf("%s %s: give the URL of the API domain without a path, like https://api.example.com", name, *field)}
		}
		*field = strings.TrimSuffix(*field, "/")
	}
	if p.URL == "" {
		return usageError{errors.New("no URL: give the API domain with --url, like https://api.example.com")}
	}
	if p.ManagementURL == "" {
		p.ManagementURL = p.URL
	}
	if p.tokens.TokenURL == "" {
		p.tokens.TokenURL = p.URL + "/auth/open/connect/token"
	}
	return nil
}

// source gives access tokens of the profile's client.
func (p *profile) source() (*tokensource.Source, error) {
	source, err := tokensource.New(p.tokens)
	if err != nil {
		return nil, usageError{err}
	}
	return source, nil
}

// write stores the profile for its owner alone.
func (p *profile) write(name string) (path string, err error) {
	if path, err = profilePath(name); err != nil {
		return "", err
	}
	text, err := json.MarshalIndent(stored{
		URL: p.URL, ManagementURL: p.ManagementURL, TokenURL: p.tokens.TokenURL, Organisation: p.Organisation,
		ClientID: p.tokens.ClientID, ClientSecret: string(p.tokens.ClientSecret), Scopes: []string{},
	}, "", "  ")
	if err != nil {
		return "", err
	}
	return path, writePrivate(path, append(text, '\n'))
}

// writePrivate writes a file that its owner alone may read, whole or not at all.
func writePrivate(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		_ = os.Remove(file.Name())
	}
	return err
}

func newLogin() *cobra.Command {
	var p profile
	var name string
	var fromInput bool
	cmd := &cobra.Command{
		Use: "login --url URL [--client-id ID] [--client-secret-stdin]", Short: "Store an API client as a profile, after checking that it works", Args: cobra.NoArgs,
		Long: `Store URL, client id and client secret as a profile in your configuration folder, in
a file of mode 0600, once a token was obtained with them. The secret is asked for, or
read from standard input, also in the JSON that created it; there is no flag for it,
because others could see that.`,
		Example: `  doorward login --url https://api.example.com --client-id org-round-apple-123
  echo "$SECRET" | doorward login --url https://api.example.com --client-id op-calm-river-456 --client-secret-stdin
  doorward secret create org-round-apple-123 --name ci -o json | doorward login --profile ci --url https://api.example.com --client-secret-stdin
  doorward login --profile staging --url https://staging.example.com --management-url https://manage.staging.example.com --client-id …`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := p.complete(); err != nil {
				return err
			}
			if err := p.readCredentials(cmd, fromInput); err != nil {
				return err
			}
			if err := p.signIn(cmd.Context()); err != nil {
				return err
			}
			path, err := p.write(name)
			if err == nil {
				_, err = fmt.Fprintf(cmd.ErrOrStderr(), "signed in at %s as %s; stored in %s\n", p.URL, p.tokens.ClientID, path)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&p.URL, "url", "", "the API domain, like https://api.example.com")
	cmd.Flags().StringVar(&p.ManagementURL, "management-url", "", "where the management API of the operator answers, if not there")
	cmd.Flags().StringVar(&p.tokens.TokenURL, "token-url", "", "the token endpoint (default: URL/auth/open/connect/token)")
	cmd.Flags().StringVar(&p.tokens.ClientID, "client-id", "", "the API client")
	cmd.Flags().BoolVar(&fromInput, "client-secret-stdin", false, "read the client secret from standard input, or the JSON that created it")
	cmd.Flags().StringVar(&p.Organisation, "organisation", "", "where a client of the operator acts, if not said otherwise")
	cmd.Flags().StringVar(&name, "profile", profileFromEnvironment(), "name of the profile")
	_ = cmd.MarkFlagRequired("url") // fails only for a flag that does not exist
	return cmd
}

func profileFromEnvironment() string {
	if name := os.Getenv("DOORWARD_PROFILE"); name != "" {
		return name
	}
	return defaultProfile
}

const maxSecretInput = 64 << 10

// readCredentials asks for the secret on a terminal, without showing what is
// typed, or reads standard input.
func (p *profile) readCredentials(cmd *cobra.Command, fromInput bool) error {
	var value string
	var err error
	switch in := cmd.InOrStdin(); {
	case fromInput:
		value, err = p.credentialsFrom(in)
	case !isTerminal(in):
		err = usageError{errors.New("no terminal to ask for the client secret: add --client-secret-stdin and pipe it in")}
	case p.tokens.ClientID == "":
		err = errNoClientID
	default:
		fmt.Fprint(cmd.ErrOrStderr(), "client secret: ")
		var typed []byte
		typed, err = term.ReadPassword(int(in.(*os.File).Fd()))
		value = strings.TrimSpace(string(typed))
		fmt.Fprintln(cmd.ErrOrStderr())
	}
	p.tokens.ClientSecret = tokensource.Secret(value)
	return err
}

var errNoClientID = usageError{errors.New("--client-id is missing: name the API client, like org-round-apple-123")}

// credentialsFrom reads a secret in one line, or the JSON object that a command
// printed when it created one, which names its client too.
func (p *profile) credentialsFrom(in io.Reader) (value string, err error) {
	text, err := io.ReadAll(io.LimitReader(in, maxSecretInput))
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	value = strings.TrimSpace(line)
	var made struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	if json.Unmarshal(text, &made) == nil {
		value = made.Secret
		if p.tokens.ClientID == "" {
			p.tokens.ClientID = made.ID
		}
	}
	switch {
	case value == "":
		return "", usageError{errors.New("standard input holds no client secret")}
	case p.tokens.ClientID == "":
		return "", errNoClientID
	}
	return value, nil
}

// signIn obtains a token, to see that all of it is right.
func (p *profile) signIn(ctx context.Context) error {
	source, err := p.source()
	if err != nil {
		return err
	}
	_, err = source.Token(ctx)
	return tokenAdvice(err, p)
}

// tokenAdvice says what to do about a token that was refused.
func tokenAdvice(err error, p *profile) error {
	var refused *tokensource.Error
	var network *url.Error
	switch {
	case errors.As(err, &refused) && refused.Code == "invalid_client":
		return fmt.Errorf("%w; check the client id %s and its secret, and whether either was disabled or has expired", err, p.tokens.ClientID)
	case errors.As(err, &refused) && refused.Status == http.StatusNotFound:
		return fmt.Errorf("%w; there is no token endpoint at %s: check --url, or give --token-url", err, p.tokens.TokenURL)
	case errors.As(err, &network):
		return fmt.Errorf("%w; check --url and that the server runs (doorward doctor says more)", err)
	}
	return err
}

func newLogout() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use: "logout", Short: "Forget a profile", Args: cobra.NoArgs,
		Long: "Delete a profile's file and its access token. The client and its secret stay as they are: revoke the secret\nwith doorward secret revoke if nobody needs it any more.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, err := profilePath(name)
			if err != nil {
				return err
			}
			if p, err := readProfile(name); err == nil {
				p.forgetToken()
			}
			err = os.Remove(path)
			if errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("there is no profile %q", name)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&name, "profile", profileFromEnvironment(), "name of the profile")
	return cmd
}
