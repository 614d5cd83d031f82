package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/fault"
)

func newToken() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use: "token", Short: "Print an access token of the profile", Args: cobra.NoArgs,
		Long:    "Print an access token, for other programs to send. It is kept until shortly before it\nends, in a file of mode 0600 in your cache folder, so that asking often costs nothing.",
		Example: "  curl -H \"Authorization: Bearer $(doorward token)\" https://api.example.com/orders/1",
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := readProfile(name)
			if err != nil {
				return err
			}
			source, err := p.source()
			if err != nil {
				return err
			}
			token, err := source.Token(cmd.Context())
			if err != nil {
				return tokenAdvice(err, &p)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), token)
			return err
		},
	}
	cmd.Flags().StringVar(&name, "profile", profileFromEnvironment(), "the profile that doorward login stored")
	return cmd
}

// request is what `doorward call` is told.
type request struct {
	profile string
	headers []string
	data    string
	status  bool
}

func newCall() *cobra.Command {
	r := &request{}
	cmd := &cobra.Command{
		Use: "call METHOD PATH", Short: "Call an API product with an access token of the profile", Args: cobra.ExactArgs(2),
		Long: `Get an access token, call the API domain with it, and print the body of the answer. A
refusal is explained on standard error, and tells by the exit code: 3 is not
permitted, 4 not found, 6 try again.`,
		Example: `  doorward call GET /orders/1
  doorward call POST /orders --data '{"item":"apple"}'
  doorward call POST /orders --data @order.json --header 'Content-Type: application/json'`,
		RunE: func(cmd *cobra.Command, args []string) error { return r.call(cmd, args[0], args[1]) },
	}
	cmd.Flags().StringVar(&r.profile, "profile", profileFromEnvironment(), "the profile that doorward login stored")
	cmd.Flags().StringArrayVarP(&r.headers, "header", "H", nil, "send this header, as Name: value (repeatable)")
	cmd.Flags().StringVarP(&r.data, "data", "d", "", "send this body; @FILE reads a file, @- standard input")
	cmd.Flags().BoolVarP(&r.status, "include", "i", false, "print status and headers of the answer too")
	return cmd
}

func (r *request) call(cmd *cobra.Command, method, path string) error {
	p, err := readProfile(r.profile)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(path, "/") {
		return usageError{fmt.Errorf("the path %s begins with a slash, like /orders/1", path)}
	}
	body, err := r.body(cmd)
	if err != nil {
		return err
	}
	outbound, err := http.NewRequestWithContext(cmd.Context(), strings.ToUpper(method), p.URL+path, body)
	if err != nil {
		return usageError{err}
	}
	if err := r.setHeaders(outbound.Header); err != nil {
		return err
	}
	source, err := p.source()
	if err != nil {
		return err
	}
	client := http.Client{
		Transport:     &patience{next: source.Transport(http.DefaultTransport), to: cmd.ErrOrStderr(), what: "waiting for " + p.URL},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	answer, err := client.Do(outbound)
	if err != nil {
		return tokenAdvice(err, &p)
	}
	defer func() { _ = answer.Body.Close() }()
	return r.show(cmd, answer)
}

func (r *request) body(cmd *cobra.Command) (io.Reader, error) {
	file, ok := strings.CutPrefix(r.data, "@")
	switch {
	case r.data == "":
		return nil, nil
	case !ok:
		return strings.NewReader(r.data), nil
	case file == "-":
		return cmd.InOrStdin(), nil
	}
	text, err := os.ReadFile(file) //nolint:gosec // the user names the file
	return strings.NewReader(string(text)), err
}

func (r *request) setHeaders(header http.Header) error {
	header.Set("User-Agent", "doorward-cli/"+version())
	if r.data != "" && json.Valid([]byte(r.data)) {
		header.Set("Content-Type", "application/json")
	}
	for _, text := range r.headers {
		name, value, ok := strings.Cut(text, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return usageError{fmt.Errorf("--header %s: write Name: value", text)}
		}
		header.Set(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return nil
}

// show prints the answer; a refusal of Doorward is an error that says what to do.
func (r *request) show(cmd *cobra.Command, answer *http.Response) error {
	out := cmd.OutOrStdout()
	if r.status {
		fmt.Fprintf(out, "%s %s\n", answer.Proto, answer.Status)
		if err := answer.Header.Write(out); err != nil {
			return err
		}
		fmt.Fprintln(out)
	}
	if answer.StatusCode < 400 {
		_, err := io.Copy(out, answer.Body)
		return err
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxRefusal))
	if err != nil {
		return err
	}
	refusal := problemOf(answer, text)
	if p, ok := errors.AsType[*problem](refusal); ok {
		if _, ours := fault.Lookup(fault.Code(p.Code)); ours {
			return refusal
		}
	}
	_, err = out.Write(text) // of the product itself
	return errors.Join(err, &problem{Status: answer.StatusCode, Code: fmt.Sprint(answer.StatusCode), Detail: "the product answered " + answer.Status})
}

const maxRefusal = 1 << 20
