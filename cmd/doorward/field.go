package main

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// field is one value of a request, which an argument, a flag or a filter
// gives. It is a pflag.Value that reads what is given as the contract has it.
type field struct {
	name   string // in the contract
	in     string // path, query or body
	about  string
	schema *schema
	past   bool // a length of time counts back from now
	value  any  // nil: not given
}

// flag is what a field is called on the command line: organisation for
// organisation_id, expires for expires_at, permission for each of permissions.
func (f *field) flag() string {
	name := strings.TrimSuffix(strings.TrimSuffix(f.name, "_id"), "_at")
	if f.schema.Type == "array" || f.schema.Type == "object" {
		name = strings.TrimSuffix(name, "s")
	}
	return strings.ReplaceAll(name, "_", "-")
}

// Set reads a value; one more of it is added to a list or an object.
func (f *field) Set(text string) error {
	value, err := f.read(text)
	if err == nil {
		f.value = value
	}
	return err
}

func (f *field) read(text string) (any, error) {
	s := f.schema
	switch {
	case s.Type == "boolean":
		return strconv.ParseBool(text)
	case s.Type == "integer":
		return readSeconds(text)
	case s.Type == "array" && s.Items.Type == "object":
		list, _ := f.value.([]any)
		return s.Items.readPairs(list, text)
	case s.Type == "array" && s.Items.Type == "array": // sets, one in each flag
		sets, _ := f.value.([]any)
		return append(sets, strings.Split(text, ",")), nil
	case s.Type == "array":
		list, _ := f.value.([]string)
		if text == "" { // to empty it
			return append([]string{}, list...), nil
		}
		return append(list, strings.Split(text, ",")...), nil
	case s.Type == "object":
		return f.readMember(text)
	case s.Format == "date-time":
		return readTime(text, time.Now(), f.past)
	}
	checked, err := s.check(text)
	if of := listed[f.name]; err != nil && of != "" {
		return nil, fmt.Errorf("%w; doorward %s list shows them", err, of)
	}
	return checked, err
}

// check holds a text against the contract, so that the answer is at once and
// says what to give.
func (s *schema) check(text string) (string, error) {
	if s.Enum != nil && !slices.Contains(s.Enum, text) {
		return "", fmt.Errorf("choose one of %s", strings.Join(s.Enum, ", "))
	}
	if s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(text) {
		return "", fmt.Errorf("it has the form of %v", s.Example)
	}
	return text, nil
}

// readMember reads name=value of an object; an empty value takes it away.
func (f *field) readMember(text string) (any, error) {
	name, value, _ := strings.Cut(text, "=")
	if _, known := f.schema.Properties[name]; !known {
		return nil, fmt.Errorf("write one of %s, = and the value", strings.Join(sortedNames(f.schema.Properties), ", "))
	}
	object, _ := f.value.(map[string]any)
	if object == nil {
		object = map[string]any{}
	}
	object[name] = value
	return object, nil
}

// isPair says whether an object can be written as one text and a second one that
// may be left out.
func (s *schema) isPair() bool {
	return s.Type == "object" && len(s.Properties) == 2 && len(s.Required) == 1
}

// readPairs adds objects, written as first or first@second with commas between
// them, to a list.
func (s *schema) readPairs(list []any, text string) ([]any, error) {
	list = append([]any{}, list...)
	for part := range strings.SplitSeq(text, ",") {
		if part == "" {
			continue // to empty the list
		}
		pair := map[string]any{}
		first, second, both := strings.Cut(part, "@")
		for name, member := range s.Properties {
			value := second
			if name == s.Required[0] {
				value = first
			} else if !both {
				continue
			}
			checked, err := member.check(value)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", visible(value), err)
			}
			pair[name] = checked
		}
		list = append(list, pair)
	}
	return list, nil
}

// readSeconds reads a number, or a length of time as its seconds.
func readSeconds(text string) (int, error) {
	if number, err := strconv.Atoi(text); err == nil {
		return number, nil
	}
	length, err := time.ParseDuration(text)
	if err != nil || length%time.Second != 0 {
		return 0, errors.New("give a number of seconds, or a length of time like 10m")
	}
	return int(length / time.Second), nil
}

var days = regexp.MustCompile(`^([0-9]{1,5})([dw])$`)

// readTime reads a time as RFC 3339 has it, a date of UTC, or a length of time
// from now.
func readTime(text string, now time.Time, past bool) (string, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC().Format(time.RFC3339), nil
		}
	}
	number, length := 0, time.Duration(0)
	if found := days.FindStringSubmatch(text); found != nil {
		number, _ = strconv.Atoi(found[1])
		if found[2] == "w" {
			number *= 7
		}
	} else if parsed, err := time.ParseDuration(text); err == nil && parsed >= 0 {
		length = parsed
	} else {
		return "", errors.New("give a time like 2027-01-31T12:00:00Z, a date, or a length of time like 90d or 12h")
	}
	if past {
		number, length = -number, -length
	}
	return now.UTC().AddDate(0, 0, number).Add(length).Format(time.RFC3339), nil
}

// String is the default as cobra shows it: there is none.
func (f *field) String() string { return "" }

// Type is what stands for the value in the help of a flag.
func (f *field) Type() string {
	switch s := f.schema; {
	case s.Type == "boolean":
		return "bool"
	case s.Type == "object":
		return "name=value"
	case s.Type == "array":
		return "list"
	case s.Format == "date-time":
		return "time"
	case s.Type == "integer":
		return "number"
	case len(s.Enum) > 0 && len(s.Enum) < 5:
		return strings.Join(s.Enum, "|")
	}
	return "text"
}

// fields are what a request is filled with.
func (o *operation) fields() (all []*field) {
	for _, p := range o.Parameters {
		if p.In == "header" || p.Name == "limit" || p.Name == "cursor" {
			continue
		}
		past := p.Name == "from" || p.Name == "until" // of records, which lie behind
		all = append(all, &field{name: p.Name, in: p.In, about: p.Schema.about(p.Description), schema: p.Schema, past: past})
	}
	return append(all, o.bodyFields()...)
}

// about tells what a value is: as it is described where it stands, or wherever it
// stands, or by what it can be.
func (s *schema) about(here string) string {
	switch {
	case here != "":
		return here
	case s.Description != "":
		return s.Description
	case len(s.Enum) >= 5: // fewer stand in the placeholder
		return strings.Join(s.Enum, ", ")
	case s.Type == "array" && s.Items.Type == "string":
		return s.Items.about("")
	case s.Example != nil:
		return fmt.Sprint("such as ", s.Example)
	}
	return ""
}

// bodyFields are the members of the body that a flag can give.
func (o *operation) bodyFields() (all []*field) {
	if o.body == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(o.body.Properties)) {
		if s := o.body.Properties[name]; s.Type != "array" && s.Type != "object" || s.isFlat() {
			all = append(all, &field{name: name, in: "body", about: s.about(""), schema: s})
		}
	}
	return all
}

// isFlat says whether a list or an object can be written on the command line.
func (s *schema) isFlat() bool {
	if s.Type == "array" {
		return s.Items.Type != "object" || s.Items.isPair()
	}
	for _, property := range s.Properties {
		if property.Type != "string" {
			return false
		}
	}
	return len(s.Properties) > 0
}
