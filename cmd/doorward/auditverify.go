package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/server"
)

// newAuditVerify checks the audit chain.
func newAuditVerify() *cobra.Command {
	var i installation
	var path string
	var key []byte
	cmd := &cobra.Command{
		Use: "verify {--config FILE | --data-dir DIR} [--checkpoints FILE]", Short: "Verify the whole audit log, on the server's machine", Args: cobra.NoArgs,
		Long: `Read the whole audit log and name the first record that was changed, removed or put
in, and hold it against the signed checkpoints in the database. It runs beside the
servers. The exit code is 1 if the log was changed, and if it holds records of a later
version, which only that one can verify.

Whoever can write to the database can write all of the log anew, and delete its
checkpoints. So keep checkpoints elsewhere, as doorward audit checkpoint prints
them or as the servers log them, and give them with --checkpoints.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return i.beside(cmd, func(ctx context.Context, s *server.Server) error {
				checkpoints, err := s.Checkpoints().All(ctx)
				if err != nil {
					return err
				}
				if path != "" {
					outside, err := readCheckpoints(ctx, cmd.InOrStdin(), path, key, s.Checkpoints())
					if err != nil {
						return err
					}
					checkpoints = append(checkpoints, outside...)
				}
				length, err := journal.Verify(ctx, s.Database(), checkpoints...)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "all %d records of the audit log are as they were written\n", length)
				return err
			})
		},
	}
	i.flags(cmd.Flags())
	cmd.Flags().StringVar(&path, "checkpoints", "", "file of checkpoints that were kept elsewhere, or - for standard input")
	cmd.Flags().BytesBase64Var(&key, "key", nil, "public key of the checkpoints in the file, in base64 (default: this installation's)")
	return cmd
}

// newAuditCheckpoint makes a checkpoint of the audit chain.
func newAuditCheckpoint() *cobra.Command {
	var i installation
	cmd := &cobra.Command{
		Use: "checkpoint {--config FILE | --data-dir DIR}", Short: "Print a signed checkpoint of the audit log, on the server's machine", Args: cobra.NoArgs,
		Long: `Print a checkpoint of the newest audit record as a line of JSON, and make it first if
there is none yet. Kept out of reach of whoever can write to the database, it shows
that the log was written anew or cut off: doorward audit verify --checkpoints FILE.`,
		Example: "  doorward audit checkpoint --config doorward.yaml >>/mnt/elsewhere/audit-checkpoints",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return i.beside(cmd, func(ctx context.Context, s *server.Server) error {
				made, err := s.Checkpoints().Make(ctx)
				if err != nil {
					return err
				}
				return json.NewEncoder(cmd.OutOrStdout()).Encode(made)
			})
		},
	}
	i.flags(cmd.Flags())
	return cmd
}

const longestLine = 1 << 20

// readCheckpoints reads those that were kept elsewhere, and wants them signed.
func readCheckpoints(ctx context.Context, stdin io.Reader, path string, key []byte, ours *journal.Checkpoints) (found []journal.Checkpoint, err error) {
	in := stdin
	if path != "-" {
		file, err := os.Open(path) //nolint:gosec // the operator names the file
		if err != nil {
			return nil, err
		}
		defer file.Close() // only read
		in = file
	}
	if key == nil {
		if key, err = ours.PublicKey(ctx); err != nil {
			return nil, err
		}
	}
	if found, err = parseCheckpoints(bufio.NewReader(in)); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	for i := range found {
		if !found[i].SignedBy(key) {
			return nil, fmt.Errorf("%s: the checkpoint of record %d was not signed with the key %s; if it was made before a restore, give the key of that time with --key", path, found[i].Sequence, base64.StdEncoding.EncodeToString(key))
		}
	}
	if len(found) == 0 {
		return nil, errors.New(path + ": there is no checkpoint in it")
	}
	return found, nil
}

// parseCheckpoints reads an array, as doorward audit checkpoints -o json prints
// it, or lines: those of doorward audit checkpoint, or of a server's log, whose
// other lines are passed over.
func parseCheckpoints(in *bufio.Reader) (found []journal.Checkpoint, err error) {
	if first, err := in.Peek(1); err == nil && first[0] == '[' {
		err = json.NewDecoder(in).Decode(&found)
		return found, err
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, longestLine)
	for lines.Scan() {
		if c, ok := checkpointIn(lines.Bytes()); ok {
			found = append(found, c)
		}
	}
	return found, lines.Err()
}

func checkpointIn(line []byte) (c journal.Checkpoint, ok bool) {
	var read struct {
		journal.Checkpoint
		Logged *journal.Checkpoint `json:"checkpoint"`
	}
	if json.Unmarshal(bytes.TrimSpace(line), &read) != nil {
		return c, false
	}
	if c = read.Checkpoint; read.Logged != nil {
		c = *read.Logged
	}
	return c, len(c.Signature) > 0
}
