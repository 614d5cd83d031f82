package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/backup"
	"github.com/doorward/doorward/internal/server"
)

func newBackup(o *printer) *cobra.Command {
	var i installation
	var to string
	cmd := &cobra.Command{
		Use: "backup {--data-dir DIR | --config FILE} --to PATH", Short: "Copy the database while servers run on it", Args: cobra.NoArgs,
		Long: `Copy a SQLite database to a file of its own, as it is at one moment, while servers
go on reading and writing it, and check the copy. PATH is the new file, or a folder
in which one is named after the time. The copy holds digests and sealed keys: it is
of no use without the key-encryption key, so keep that one elsewhere.

Back a PostgreSQL database up with pg_dump or base backups.`,
		Example: "  doorward backup --config doorward.yaml --to /var/backups/doorward/",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return i.beside(cmd, func(ctx context.Context, s *server.Server) error {
				info, err := os.Stat(to)
				if errors.Is(err, fs.ErrNotExist) && strings.HasSuffix(to, string(filepath.Separator)) {
					return fmt.Errorf("there is no folder %s: make it first", to)
				}
				if err == nil && info.IsDir() {
					to = filepath.Join(to, "doorward-"+time.Now().UTC().Format("20060102T150405Z")+".db")
				}
				summary, err := backup.Make(ctx, s.Database(), to)
				if err != nil {
					return err
				}
				return o.one(cmd, []string{"file"}, struct {
					File string `json:"file"`
					backup.Summary
				}{to, summary})
			})
		},
	}
	o.flags(cmd)
	i.flags(cmd.Flags())
	cmd.Flags().StringVar(&to, "to", "", "the new file, or a folder for it")
	cmd.PreRunE = func(*cobra.Command, []string) error { return o.check() }
	_ = cmd.MarkFlagRequired("to") // fails only for a flag that does not exist
	return cmd
}

func newRestore(o *printer) *cobra.Command {
	var i installation
	var r restoration
	var inPlace bool
	cmd := &cobra.Command{
		Use: "restore {--data-dir DIR | --config FILE}", Short: "Bring a backup back into service", Args: cobra.NoArgs,
		Long: `Put a backup where the database is to be, and hold the installation: no token is
issued and no call passes until you have looked through the credentials that come
alive again, and confirmed that list. What was revoked after the backup was made is
not revoked in it.

1. doorward restore --config FILE --from BACKUP   (PostgreSQL: restore the database
   with its own tools, then doorward restore --config FILE --in-place)
2. doorward restore list --config FILE
3. doorward restore confirm CODE --config FILE

What the revocation journal of FILE has and the backup had not is revoked again by
step 1. Confirming ends all signing keys, access tokens, sessions and invitations
from before. Servers may run meanwhile: they wait.`,
		Example: "  doorward restore --config doorward.yaml --from /var/backups/doorward/doorward-20270131T120000Z.db --verify",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if r.from == "" && !r.verify && !inPlace {
				return usageError{errors.New("name the backup by --from; or say --in-place, if PostgreSQL's tools have restored the database")}
			}
			config, err := i.config()
			if err != nil {
				return err
			}
			summary, err := r.run(cmd, config)
			if err != nil {
				return err
			}
			if err := o.one(cmd, []string{"revision"}, summary); err != nil || r.verify {
				return err
			}
			fmt.Fprintln(cmd.ErrOrStderr(), "held: look through `doorward restore list` next")
			return nil
		},
	}
	o.flags(cmd)
	i.flags(cmd.PersistentFlags())
	cmd.Flags().StringVar(&r.from, "from", "", "the backup of a SQLite database")
	cmd.Flags().BoolVar(&inPlace, "in-place", false, "the database was restored already, with PostgreSQL's tools")
	cmd.Flags().BoolVar(&r.verify, "verify", false, "check the backup, or without --from the database, and that the key-encryption key opens it; change nothing")
	cmd.Flags().StringArrayVar(&r.journals, "revocation-journal", nil, "revocation journals of other servers, beside the one in FILE (repeatable)")
	cmd.MarkFlagsMutuallyExclusive("from", "in-place")
	cmd.MarkFlagsMutuallyExclusive("verify", "in-place")
	cmd.PersistentPreRunE = func(*cobra.Command, []string) error { return o.check() }
	cmd.AddCommand(newRestoreList(&i, o), newRestoreConfirm(&i))
	return cmd
}

// restoration is what the command line says of one.
type restoration struct {
	from     string
	verify   bool
	journals []string
}

func (r *restoration) run(cmd *cobra.Command, config server.Config) (summary backup.Summary, err error) {
	ctx := cmd.Context()
	if r.from != "" {
		kek, err := config.KeyEncryptionKey.Open()
		if err != nil {
			return summary, err
		}
		if r.verify {
			return backup.Check(ctx, r.from, kek)
		}
		if summary, err = backup.Place(ctx, r.from, config.Database, kek); err != nil {
			return summary, err
		}
	}
	s, err := server.Beside(ctx, config, slog.New(slog.DiscardHandler)) // its key-encryption key must be the right one
	if err != nil {
		return summary, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if r.verify {
		return backup.Verify(ctx, s.Database())
	}
	if err := backup.Hold(ctx, backupConfig(s)); err != nil {
		return summary, err
	}
	if config.RevocationJournal != "" {
		r.journals = append(r.journals, config.RevocationJournal)
	}
	done, err := backup.Replay(ctx, s.Database(), s.Registry(), r.journals...)
	if err != nil {
		return summary, err
	}
	for _, problem := range done.Problems() {
		fmt.Fprintln(cmd.ErrOrStderr(), "not revoked again:", problem)
	}
	if len(r.journals) > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "revocation journals: %d revoked again, %d of what is not there, %d refused, %d lines cut off by a crash\n", done.Revoked, done.Gone, done.Kept, done.CutOff)
	}
	return backup.Verify(ctx, s.Database())
}

func backupConfig(s *server.Server) backup.Config {
	return backup.Config{DB: s.Database(), Now: time.Now, Rand: rand.Reader}
}

func newRestoreList(i *installation, o *printer) *cobra.Command {
	return &cobra.Command{
		Use: "list {--data-dir DIR | --config FILE}", Short: "List the credentials that come alive again", Args: cobra.NoArgs,
		Long: `List the client secrets that work, the people who can sign in and the webhooks that
are enabled in the restored database, and print the code that confirms this list.
Whoever was removed after the backup was made is on it.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return i.beside(cmd, func(ctx context.Context, s *server.Server) error {
				l := listing{printer: o, out: cmd.OutOrStdout(), id: []string{"id"}, columns: []string{"kind", "id", "of", "organisation_id", "name", "created_at"}}
				var items []json.RawMessage
				code, err := backup.Credentials(ctx, s.Database(), func(c backup.Credential) error {
					text, err := json.Marshal(c)
					items = append(items, text)
					return err
				})
				if err == nil {
					err = errors.Join(l.add(items), l.end(cmd.ErrOrStderr()))
				}
				if err == nil {
					fmt.Fprintf(cmd.ErrOrStderr(), "if all of these may come alive again: doorward restore confirm %s\n", code)
				}
				return err
			})
		},
	}
}

func newRestoreConfirm(i *installation) *cobra.Command {
	var moved bool
	cmd := &cobra.Command{
		Use: "confirm {CODE | --moved} {--data-dir DIR | --config FILE}", Short: "End the hold", Args: cobra.MaximumNArgs(1),
		Long: `End the hold of a restored installation. CODE is what doorward restore list printed:
it confirms that list. All signing keys, access tokens, sessions and invitations from
before end; clients get new tokens with their secrets.

--moved is for a PostgreSQL database that was moved or upgraded with nothing lost,
and is the only one: nothing ends.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if moved == (len(args) == 1) {
				return usageError{errors.New("give either the code of doorward restore list, or --moved")}
			}
			return i.beside(cmd, func(ctx context.Context, s *server.Server) error {
				if moved {
					return backup.Moved(ctx, backupConfig(s))
				}
				return backup.Confirm(ctx, backupConfig(s), strings.TrimSpace(args[0]), s.OpenKeys)
			})
		},
	}
	cmd.Flags().BoolVar(&moved, "moved", false, "the database was moved with nothing lost")
	return cmd
}
