// Command kek-pkcs11 lets a hardware security module hold Doorward's
// key-encryption key: it is the program of key_encryption_key.command for
// whatever speaks PKCS #11. The key never leaves the module.
//
//	kek-pkcs11 --module LIBRARY --token LABEL --key LABEL --pin-file FILE generate
//	kek-pkcs11 … wrap      # a line of base64 on standard input, one on standard output
//	kek-pkcs11 … unwrap
//
// It uses AES-GCM with a 256-bit key. Wrapped is a byte that says so (1), the
// initialisation vector of 12 bytes, and the ciphertext with its tag.
package main

import (
	"bufio"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "kek-pkcs11:", err)
		os.Exit(1)
	}
}

const usage = "usage: kek-pkcs11 --module LIBRARY --token LABEL --key LABEL --pin-file FILE generate|wrap|unwrap"

func run(args []string, in io.Reader, out, help io.Writer) (err error) {
	var place place
	var pinFile string
	flags := flag.NewFlagSet("kek-pkcs11", flag.ContinueOnError)
	flags.SetOutput(help)
	flags.StringVar(&place.module, "module", "", "the PKCS #11 library of the hardware security module")
	flags.StringVar(&place.token, "token", "", "the label of the token")
	flags.StringVar(&place.key, "key", "", "the label of the AES key on it")
	flags.StringVar(&pinFile, "pin-file", "", "a file that holds the PIN of the token's user, which its owner alone may read")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if place.module == "" || place.token == "" || place.key == "" || pinFile == "" || flags.NArg() != 1 {
		return errors.New(usage)
	}
	pin, err := readPIN(pinFile)
	if err != nil {
		return err
	}
	t, err := open(place, pin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	switch flags.Arg(0) {
	case "generate":
		return t.generate()
	case "wrap":
		return answer(in, out, t.wrap)
	case "unwrap":
		return answer(in, out, t.unwrap)
	}
	return errors.New(usage)
}

// readPIN reads the first line. systemd hands credentials over with a mode that
// looks readable by the group, as in Doorward itself.
func readPIN(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if mode := info.Mode().Perm(); mode&0o037 != 0 {
		return "", fmt.Errorf("others may use the PIN file %s (mode %04o): run chmod 0400 on it", path, mode)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	pin, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSuffix(pin, "\r"), nil
}

// answer writes what a function makes of the line that was read.
func answer(in io.Reader, out io.Writer, do func([]byte) ([]byte, error)) error {
	line, err := bufio.NewReader(io.LimitReader(in, 64<<10)).ReadString('\n')
	if err != nil {
		return fmt.Errorf("read a line from standard input: %w", err)
	}
	text, err := base64.StdEncoding.DecodeString(strings.TrimRight(line, "\r\n"))
	if err != nil {
		return fmt.Errorf("standard input is not base64: %w", err)
	}
	made, err := do(text)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, base64.StdEncoding.EncodeToString(made))
	return err
}
