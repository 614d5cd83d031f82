package main

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/server"
)

// installation names the database and the keys on this machine.
type installation struct{ folder, path string }

func (i *installation) flags(flags *pflag.FlagSet) {
	flags.StringVar(&i.folder, "data-dir", "", "the `FOLDER` of doorward dev")
	flags.StringVar(&i.path, "config", "", "the configuration file of doorward serve")
}

// config is the server's, as far as the database and the keys need it.
func (i *installation) config() (server.Config, error) {
	if (i.path == "") == (i.folder == "") {
		return server.Config{}, usageError{errors.New("name the installation by --config or --data-dir, one of both")}
	}
	if i.path != "" {
		return server.LoadConfig(i.path, os.Environ())
	}
	config := configOf(i.folder)
	config.PublicURL = "http://127.0.0.1:8080" // nothing is served
	return config, nil
}

// beside opens the installation for work on its database.
func (i *installation) beside(cmd *cobra.Command, work func(ctx context.Context, s *server.Server) error) error {
	config, err := i.config()
	if err != nil {
		return err
	}
	s, err := server.Beside(cmd.Context(), config, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	return errors.Join(work(cmd.Context(), s), s.Close())
}

func newOperator(o *printer) *cobra.Command {
	operator := &cobra.Command{
		Use: "operator", Short: "Work on an installation's database, on its own machine",
		Long: `These commands open the database themselves, beside a running server, which
notices within a second. They need no access token: whoever can read the database
and its key-encryption key is the operator.`,
	}
	client := &cobra.Command{Use: "client", Short: "API clients of the operator"}
	client.AddCommand(newOperatorClientCreate(o))
	o.flags(operator)
	operator.PersistentPreRunE = func(*cobra.Command, []string) error { return o.check() }
	operator.AddCommand(client)
	return operator
}

func newOperatorClientCreate(o *printer) *cobra.Command {
	var i installation
	var name string
	var permissions []string
	cmd := &cobra.Command{
		Use: "create {--data-dir DIR | --config FILE}", Short: "Create an API client of the operator, with a secret", Args: cobra.NoArgs,
		Long: `Create an API client of the operator with a secret, which is shown this once. It may
do everything that the management API offers, unless --permission names less.`,
		Example: `  doorward operator client create --data-dir ./doorward-data -o json
  doorward operator client create --config doorward.yaml --name backup --permission management.client.read`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.quiet {
				return errQuietSecret
			}
			config, err := i.config()
			if err != nil {
				return err
			}
			made, err := createOperatorClient(cmd.Context(), config, name, permissions)
			if err != nil {
				return err
			}
			return o.one(cmd, []string{"client_id"}, made)
		},
	}
	i.flags(cmd.Flags())
	cmd.Flags().StringVar(&name, "name", "", "what to call it (default: command line and the time)")
	cmd.Flags().StringSliceVar(&permissions, "permission", nil, "give it these permissions only (repeatable)")
	return cmd
}

// operatorClient is what the command shows, once.
type operatorClient struct {
	ID          id.Client `json:"client_id"`
	Secret      string    `json:"client_secret"`
	Name        string    `json:"name"`
	Permissions []string  `json:"permissions"`
}

func createOperatorClient(ctx context.Context, config server.Config, name string, permissions []string) (made operatorClient, err error) {
	s, err := server.Beside(ctx, config, slog.New(slog.DiscardHandler))
	if err != nil {
		return made, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	r := s.Registry()
	if permissions == nil {
		if permissions, err = managementPermissions(ctx, r); err != nil {
			return made, err
		}
	}
	if name == "" {
		name = "command line, " + time.Now().UTC().Format(time.DateTime)
	}
	var value secret.Plaintext
	for digits := id.MinClientDigits; digits < id.MinClientDigits+4; digits++ { // the id may be taken
		made = operatorClient{ID: id.NewClient(rand.Reader, id.OperatorClient, digits), Name: name, Permissions: permissions}
		if value, err = addOperatorClient(ctx, r, made.ID, name, permissions); fault.KindOf(err) != fault.Conflict {
			break
		}
	}
	made.Secret = value.Reveal()
	return made, err
}

// addOperatorClient makes client, permissions and secret in one change.
func addOperatorClient(ctx context.Context, r *registry.Registry, key id.Client, name string, permissions []string) (secret.Plaintext, error) {
	edit, value, err := r.PrepareSecret(key, "first", time.Time{})
	if err != nil {
		return value, err
	}
	by := actor.NewSystem("command line")
	return value, r.Apply(ctx, by, registry.CreateClient{ID: key, Name: name}, registry.AddPermissions{Client: key, Permissions: permissions}, edit)
}

// managementPermissions are all that can be given to a client now.
func managementPermissions(ctx context.Context, r *registry.Registry) (keys []string, err error) {
	products, err := r.LiveProducts(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range products {
		if p.Source != registry.Builtin {
			continue
		}
		for _, permission := range p.Definition.Permissions {
			if !permission.Retired {
				keys = append(keys, permission.Key)
			}
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("no server has run on this database yet: start it once")
	}
	return keys, nil
}
