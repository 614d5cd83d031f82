// Package view draws the pages of the Dashboard: templates, and the plain
// structs that they show. It knows no requests and no database; what it is given
// is escaped where it lands, so hostile text stays text. The *_templ.go files
// are generated from the *.templ files beside them.
package view

import (
	"strings"
	"time"
)

// HelpErrorsPath is where the error codes are explained, each at the anchor of
// its name.
const HelpErrorsPath = "/help/errors"

// Page is what the frame around every page shows.
type Page struct {
	Title   string   // also the heading
	Context []string // where the page is: account, organisation; in the window's title
	Site    string   // name of the installation
	Assets  Assets
	Path    string // of this page, for links that come back to it
	At      string // the place in which it is; "": none
	Theme   string // "light", "dark", or "" for the system's
	NoKeys  bool   // single-letter keys are switched off
	Now     time.Time

	Person      *Person // signed in; nil: nobody
	Environment string  // "sandbox", "production", or "" outside accounts
	Operator    bool    // in the operator's area
	Places      []Place // where the person can go; the current one first
	Nav         []NavItem
	Flash       *Flash
	Searching   bool   // it is the page that the palette is a part of
	Width       string // class of main: "", "narrow", "middle"
}

// Assets are the paths of the files that a page loads.
type Assets struct{ Stylesheet, Script, Icon, Font string }

// Person is who is signed in.
type Person struct{ Name, Email string }

// Place is an organisation or account that the person can work in.
type Place struct {
	Name, Path  string
	Environment string // of an account; Operator; "" for an organisation
	Current     bool
}

func (p Place) icon() string {
	switch p.Environment {
	case "":
		return "building-2"
	case Operator:
		return "shield-check"
	}
	return "layers"
}

// NavItem is an entry of the rail. Key is the letter that follows g.
type NavItem struct {
	Label, Path, Icon, Key string
	Current                bool
}

// Flash says what was just done, once, and how to undo it.
type Flash struct {
	Tone, Text string
	Undo       *Action
}

// Action is a button that is a form of its own: everything it sends is hidden.
type Action struct {
	Label, Path string
	Fields      []Hidden
	Class, Icon string // of the button
}

// Hidden is a field that nobody sees.
type Hidden struct{ Name, Value string }

func (p Page) windowTitle() string {
	return strings.Join(append(append([]string{p.Title}, p.Context...), p.Site), " · ")
}

func (p Page) place() (current Place, ok bool) {
	for _, place := range p.Places {
		if place.Current {
			return place, true
		}
	}
	return Place{}, false
}

func (p Page) colorScheme() string {
	if p.Theme == "" {
		return "light dark"
	}
	return p.Theme
}

// ErrorSection is a group of codes with its own form of answer.
type ErrorSection struct {
	Anchor  string
	Title   string
	Intro   string
	Example string // an answer as it looks on the wire
	Entries []ErrorEntry
}

// ErrorEntry explains one code.
type ErrorEntry struct {
	Anchor    string
	Code      string
	Status    int
	Title     string
	Cause     string
	Remedy    string
	Challenge string // value of WWW-Authenticate, empty for none
}

// family names whose turn it is: the caller's, or ours.
func (e ErrorEntry) family() string {
	if e.Status >= 500 {
		return "server"
	}
	return "client"
}
