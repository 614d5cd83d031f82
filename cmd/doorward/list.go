package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
	"golang.org/x/term"
)

// listing prints the items of a list as its pages come.
type listing struct {
	*printer
	out     io.Writer
	id      []string // fields that name an item, for --quiet
	columns []string // fields of the table
	count   int
	widths  []int // of the columns so far
	room    int   // of a line on a terminal; 0: any
}

func (l *listing) add(items []json.RawMessage) error {
	if l.format == "json" && !l.quiet {
		return l.addJSON(items)
	}
	nodes := make([]*yaml.Node, len(items))
	for i, text := range items {
		var err error
		if nodes[i], err = ordered(text); err != nil {
			return err
		}
		readable(nodes[i])
	}
	first := l.count == 0
	l.count += len(items)
	switch {
	case len(items) == 0:
		return nil
	case l.quiet:
		return l.addNames(nodes)
	case l.format == "yaml":
		encoder := yaml.NewEncoder(l.out)
		encoder.SetIndent(2)
		return errors.Join(encoder.Encode(&yaml.Node{Kind: yaml.SequenceNode, Content: nodes}), encoder.Close())
	}
	return l.addRows(nodes, first)
}

func (l *listing) addJSON(items []json.RawMessage) error {
	for _, text := range items {
		var indented bytes.Buffer
		indented.WriteString(map[bool]string{true: "[\n  ", false: ",\n  "}[l.count == 0])
		if err := json.Indent(&indented, text, "  ", "  "); err != nil {
			return err
		}
		if _, err := indented.WriteTo(l.out); err != nil {
			return err
		}
		l.count++
	}
	return nil
}

func (l *listing) addNames(items []*yaml.Node) error {
	for _, item := range items {
		var parts []string
		for _, name := range l.id {
			parts = append(parts, cellOf(item, name))
		}
		if _, err := fmt.Fprintln(l.out, strings.Join(parts, " ")); err != nil {
			return err
		}
	}
	return nil
}

// cellOf is a field of an item; an item that is a mere value is all of it.
func cellOf(item *yaml.Node, name string) string {
	if item.Kind == yaml.ScalarNode {
		return cell(item)
	}
	return cell(member(item, name))
}

// addRows prints a page of the table. Later pages are at least as wide.
func (l *listing) addRows(items []*yaml.Node, first bool) error {
	rows := make([][]string, 0, len(items)+1)
	if first {
		l.widths = make([]int, len(l.columns))
		if file, ok := l.out.(*os.File); ok && isTerminal(file) {
			l.room, _, _ = term.GetSize(int(file.Fd()))
		}
		rows = append(rows, headings(l.columns))
	}
	for _, item := range items {
		row := make([]string, len(l.columns))
		for i, name := range l.columns {
			row[i] = cellOf(item, name)
		}
		rows = append(rows, row)
	}
	for _, row := range rows {
		for i, text := range row {
			l.widths[i] = max(l.widths[i], utf8.RuneCountInString(text))
		}
	}
	for n, row := range rows {
		if _, err := fmt.Fprintln(l.out, l.line(row, first && n == 0)); err != nil {
			return err
		}
	}
	return nil
}

// headings are the columns' names as people read them.
func headings(columns []string) []string {
	names := make([]string, len(columns))
	for i, name := range columns {
		names[i] = strings.ToUpper(strings.NewReplacer("_", " ", ".", " ").Replace(strings.TrimSuffix(name, "_at")))
	}
	return names
}

func (l *listing) line(row []string, heading bool) string {
	var line strings.Builder
	used := 0
	for i, text := range row {
		length := utf8.RuneCountInString(text)
		padding := strings.Repeat(" ", l.widths[i]-length+2)
		if room := l.room - used; l.room > 0 && i == len(row)-1 && length > room && room > 1 {
			text = string([]rune(text)[:room-1]) + "…"
		}
		used += l.widths[i] + 2
		switch colour := stateColours[text]; {
		case heading:
			text = paint(l.out, bold, text)
		case l.columns[i] == "state" && colour != "":
			text = paint(l.out, colour, text)
		}
		line.WriteString(text)
		if i < len(row)-1 {
			line.WriteString(padding)
		}
	}
	return line.String()
}

var stateColours = map[string]string{
	"active": green, "enabled": green, "current": green,
	"retiring": yellow, "next": yellow, "retired": yellow,
	"suspended": red, "disabled": red, "revoked": red, "expired": red, "withdrawn": red,
}

// end closes the list. People are told when there was nothing.
func (l *listing) end(messages io.Writer) error {
	text := ""
	switch {
	case l.quiet:
	case l.format == "json" && l.count == 0:
		text = "[]\n"
	case l.format == "json":
		text = "\n]\n"
	case l.format == "yaml" && l.count == 0:
		text = "[]\n"
	case l.count == 0:
		_, err := fmt.Fprintln(messages, "there are none")
		return err
	}
	_, err := io.WriteString(l.out, text)
	return err
}
