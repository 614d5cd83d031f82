package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
	"golang.org/x/term"
)

// printer says how results are printed: -o and --quiet, which every command
// that prints objects has.
type printer struct {
	format string // table, json or yaml
	quiet  bool   // ids alone
}

func (o *printer) flags(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVarP(&o.format, "output", "o", "table", "how to print results: table, json or yaml")
	cmd.PersistentFlags().BoolVarP(&o.quiet, "quiet", "q", false, "print ids alone, one per line")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json", "yaml"}, cobra.ShellCompDirectiveNoFileComp)) // fails only for a flag that does not exist
}

func (o *printer) check() error {
	switch o.format {
	case "table", "json", "yaml":
		return nil
	}
	return usageError{fmt.Errorf("-o %s: choose table, json or yaml", o.format)}
}

// one prints an object, which the fields named id.
func (o *printer) one(cmd *cobra.Command, id []string, object any) error {
	text, err := json.Marshal(object)
	if err != nil {
		return err
	}
	if o.quiet {
		l := listing{printer: o, out: cmd.OutOrStdout(), id: id}
		return l.add([]json.RawMessage{text})
	}
	found := secretMember.FindSubmatch(text)
	if err := o.print(cmd.OutOrStdout(), text); err != nil || o.format != "table" || found == nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.ErrOrStderr(), "keep %s now: it is not shown again\n", found[1])
	return err
}

var secretMember = regexp.MustCompile(`"((client|signing)_secret)":`)

var errQuietSecret = usageError{errors.New("--quiet would not print the secret, which is shown only once: leave it out")}

func (o *printer) print(out io.Writer, text []byte) error {
	if o.format == "json" {
		var indented bytes.Buffer
		if err := json.Indent(&indented, bytes.TrimSpace(text), "", "  "); err != nil {
			return err
		}
		_, err := fmt.Fprintln(out, indented.String())
		return err
	}
	node, err := ordered(text)
	if err != nil {
		return err
	}
	readable(node)
	if o.format == "yaml" {
		encoder := yaml.NewEncoder(out)
		encoder.SetIndent(2)
		return errors.Join(encoder.Encode(node), encoder.Close())
	}
	return printFields(out, node)
}

// leading are the fields that people look for first.
var leading = []string{"id", "person_id", "client_id", "client_secret", "signing_secret", "key", "kid", "seq", "role", "name", "email", "method", "path", "environment", "state"}

// readable puts those fields of objects to the front, and what holds more than a
// value to the end.
func readable(node *yaml.Node) {
	if node.Kind == yaml.MappingNode {
		var fields [][]*yaml.Node
		for i := 0; i+1 < len(node.Content); i += 2 {
			fields = append(fields, node.Content[i:i+2])
		}
		slices.SortStableFunc(fields, func(a, b []*yaml.Node) int { return place(a) - place(b) })
		node.Content = slices.Concat(fields...)
	}
	for _, child := range node.Content {
		readable(child)
	}
}

func place(field []*yaml.Node) int {
	if at := slices.Index(leading, field[0].Value); at >= 0 {
		return at
	}
	if field[1].Kind == yaml.ScalarNode {
		return len(leading)
	}
	return len(leading) + 1
}

// printFields prints an object as a line per field.
func printFields(out io.Writer, object *yaml.Node) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for i := 0; i+1 < len(object.Content); i += 2 {
		name, value := object.Content[i].Value, object.Content[i+1]
		if value.Kind != yaml.SequenceNode || len(value.Content) == 0 || value.Content[0].Kind != yaml.MappingNode {
			fmt.Fprintf(w, "%s\t%s\n", name, cell(value))
			continue
		}
		for _, item := range value.Content { // a line for each
			fmt.Fprintf(w, "%s\t%s\n", name, cell(item))
			name = ""
		}
	}
	return w.Flush()
}

// member returns what stands under a dotted name, nil if nothing does.
func member(object *yaml.Node, name string) *yaml.Node {
	if object.Kind != yaml.MappingNode {
		return nil
	}
	for part := range strings.SplitSeq(name, ".") {
		var found *yaml.Node
		for i := 0; object != nil && i+1 < len(object.Content); i += 2 {
			if object.Content[i].Value == part {
				found = object.Content[i+1]
			}
		}
		object = found
	}
	return object
}

// cell is a value in one line.
func cell(value *yaml.Node) string {
	switch {
	case value == nil:
		return "-"
	case value.Kind == yaml.ScalarNode:
		return visible(wholeSeconds.ReplaceAllString(value.Value, "${1}Z"))
	}
	if role := member(value, "role"); role != nil && len(value.Content) <= 4 { // as it is given
		if account := member(value, "account_id"); account != nil {
			return cell(role) + "@" + cell(account)
		}
		return cell(role)
	}
	var parts []string
	for i, item := range value.Content {
		switch {
		case value.Kind == yaml.SequenceNode && item.Kind == yaml.SequenceNode: // one of several sets
			parts = append(parts, strings.ReplaceAll(cell(item), ", ", " and "))
		case value.Kind == yaml.SequenceNode:
			parts = append(parts, cell(item))
		case i%2 == 1:
			parts = append(parts, cell(value.Content[i-1])+" "+cell(item))
		}
	}
	if parts == nil {
		return "-"
	}
	if value.Kind == yaml.SequenceNode && value.Content[0].Kind == yaml.SequenceNode {
		return strings.Join(parts, ", or ")
	}
	return strings.Join(parts, ", ")
}

// wholeSeconds matches a time whose fraction nobody wants to see in a table.
var wholeSeconds = regexp.MustCompile(`^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.\d+Z$`)

// visible shows what others wrote without letting it move the cursor, change
// colours or turn the direction of the text.
func visible(text string) string {
	if strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return text
	}
	return strings.Trim(strconv.QuoteToGraphic(text), `"`)
}

// ordered reads JSON and keeps the order of its fields.
func ordered(text []byte) (*yaml.Node, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return nodeOf(decoder)
}

func nodeOf(decoder *json.Decoder) (*yaml.Node, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	node := new(yaml.Node)
	switch value := token.(type) {
	case json.Delim:
		node.Kind = map[json.Delim]yaml.Kind{'{': yaml.MappingNode, '[': yaml.SequenceNode}[value]
		for decoder.More() {
			item, err := nodeOf(decoder)
			if err != nil {
				return nil, err
			}
			node.Content = append(node.Content, item)
		}
		_, err = decoder.Token() // the closing one
		return node, err
	case string:
		node.SetString(value)
	case json.Number:
		node.Kind, node.Value, node.Tag = yaml.ScalarNode, value.String(), "!!int"
		if strings.ContainsAny(value.String(), ".eE") {
			node.Tag = "!!float"
		}
	case bool:
		node.Kind, node.Value, node.Tag = yaml.ScalarNode, strconv.FormatBool(value), "!!bool"
	case nil:
		node.Kind, node.Value, node.Tag = yaml.ScalarNode, "null", "!!null"
	}
	return node, nil
}

// isTerminal says whether a stream is one that a person looks at.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// colours says whether a stream takes them, and its owner wants them
// (https://no-color.org).
func colours(stream any) bool {
	return isTerminal(stream) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

const (
	red    = "31"
	green  = "32"
	yellow = "33"
	bold   = "1"
)

// paint colours a text for a stream that takes it.
func paint(stream any, colour, text string) string {
	if !colours(stream) {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}
