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
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/server"
)

func newDoctor() *cobra.Command {
	var i installation
	var o printer
	var profileName string
	cmd := &cobra.Command{
		Use: "doctor [--config FILE | --data-dir DIR]", Short: "Look for what is wrong, and say what to do", Args: cobra.NoArgs,
		Long: `On the machine of a server, with --config or --data-dir: configuration, database, keys,
clock, TLS, listeners, whether the API domain answers, and whether upstreams can be
reached. It runs beside the server, and changes and asks them nothing.

As a client, with neither: the profile, whether the server can be reached, the clocks,
and whether an access token is given.

The exit code is 1 if something is bad.`,
		Example: "  doorward doctor\n  doorward doctor --config doorward.yaml",
		PreRunE: func(*cobra.Command, []string) error { return o.check() },
		RunE: func(cmd *cobra.Command, _ []string) error {
			done := waiting(cmd.ErrOrStderr(), "looking")
			var found []server.Finding
			if i == (installation{}) {
				found = examineProfile(cmd.Context(), profileName)
			} else {
				found = i.examine(cmd.Context())
			}
			done()
			return showFindings(cmd, &o, found)
		},
	}
	i.flags(cmd.Flags())
	cmd.MarkFlagsMutuallyExclusive("data-dir", "config")
	cmd.Flags().StringVar(&profileName, "profile", profileFromEnvironment(), "the profile that doorward login stored")
	o.flags(cmd)
	return cmd
}

func (i *installation) examine(ctx context.Context) []server.Finding {
	config, err := i.running()
	if err != nil {
		return []server.Finding{{Check: "configuration", Health: server.Bad, Detail: err.Error(), Remedy: "mend it; docs/doorward.example.yaml explains every setting"}}
	}
	return server.Examine(ctx, config)
}

// running is the configuration with the addresses that doorward dev took.
func (i *installation) running() (server.Config, error) {
	config, err := i.config()
	if err != nil || i.folder == "" {
		return config, err
	}
	if _, err := os.Stat(i.folder); errors.Is(err, fs.ErrNotExist) {
		return config, fmt.Errorf("there is no folder %s: start doorward dev --data-dir %s first", i.folder, i.folder)
	}
	c, err := readCredentials(filepath.Join(i.folder, "dev-credentials.json"))
	if err != nil || c == nil {
		return config, err
	}
	config.PublicURL, config.DashboardURL = c.APIURL, c.DashboardURL
	for listen, address := range map[*string]string{&config.APIListen: c.APIURL, &config.DashboardListen: c.DashboardURL, &config.OpsListen: c.OpsURL} {
		u, err := url.Parse(address)
		if err != nil {
			return config, err
		}
		*listen = u.Host
	}
	return config, nil
}

var healthColours = map[server.Health]string{server.Good: green, server.Warning: yellow, server.Bad: red}

func showFindings(cmd *cobra.Command, o *printer, found []server.Finding) error {
	bad := 0
	for _, f := range found {
		if f.Health == server.Bad {
			bad++
		}
	}
	if err := printFindings(cmd.OutOrStdout(), o, found); err != nil {
		return err
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d checks are bad", bad, len(found))
	}
	return nil
}

func printFindings(out io.Writer, o *printer, found []server.Finding) error {
	if o.format != "table" || o.quiet {
		l := &listing{printer: o, out: out, id: []string{"check"}}
		for _, f := range found {
			text, err := json.Marshal(f)
			if err != nil {
				return err
			}
			if err := l.add([]json.RawMessage{text}); err != nil {
				return err
			}
		}
		return l.end(io.Discard)
	}
	for _, f := range found {
		fmt.Fprintf(out, "%s  %s: %s\n", paint(out, healthColours[f.Health], fmt.Sprintf("%-7s", f.Health)), visible(f.Check), visible(strings.Join(strings.Fields(f.Detail), " ")))
		if f.Remedy != "" {
			fmt.Fprintf(out, "         %s\n", strings.ReplaceAll(wrapped(f.Remedy), "\n", "\n         "))
		}
	}
	return nil
}

// examineProfile looks at what a client depends on.
func examineProfile(ctx context.Context, name string) (found []server.Finding) {
	note := func(health server.Health, check, detail, remedy string) {
		found = append(found, server.Finding{Check: check, Health: health, Detail: detail, Remedy: remedy})
	}
	p, err := readProfile(name)
	if err != nil {
		note(server.Bad, "profile", err.Error(), "doorward login stores one; on the machine of a server look at it with doorward doctor --config FILE")
		return found
	}
	note(server.Good, "profile", fmt.Sprintf("%s is %s at %s", name, p.tokens.ClientID, p.URL), "")
	_, theirs, err := reach(ctx, p.URL)
	if err != nil {
		note(server.Bad, "API domain", err.Error(), "check the address, DNS and firewall, and that the server runs")
		return found
	}
	note(server.Good, "API domain", p.URL+" answers", "")
	if apart := time.Since(theirs).Abs().Round(time.Second); !theirs.IsZero() && apart > maxClockSkew {
		note(server.Bad, "clock", fmt.Sprintf("%s apart from the server's", apart), "let this machine follow a time server (NTP)")
	} else {
		note(server.Good, "clock", "as the server's", "")
	}
	contract := p.ManagementURL + "/management/v1/openapi.json"
	switch status, _, err := reach(ctx, contract); {
	case err != nil:
		note(server.Warning, "management API", err.Error(), "name where it is with doorward login --management-url; only the commands that manage need it")
	case status != http.StatusOK:
		note(server.Warning, "management API", fmt.Sprintf("%s answers %d", contract, status), "name where it is with doorward login --management-url; only the commands that manage need it")
	default:
		note(server.Good, "management API", p.ManagementURL+" answers", "")
	}
	p.tokens.Cache = nil // one that is kept says nothing about now
	if err := p.signIn(ctx); err != nil {
		note(server.Bad, "access token", err.Error(), "doorward login stores another client or secret")
	} else {
		note(server.Good, "access token", "the token endpoint gives one", "")
	}
	return found
}

const (
	maxClockSkew  = 5 * time.Second
	reachPatience = 5 * time.Second
)

// reach asks a server for anything, and for its time.
func reach(ctx context.Context, address string) (status int, theirs time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, reachPatience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, theirs, err
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(request)
	if err != nil {
		return 0, theirs, err
	}
	_ = answer.Body.Close() // the head says it all
	theirs, _ = http.ParseTime(answer.Header.Get("Date"))
	return answer.StatusCode, theirs, nil
}
