// Package view draws the pages of the Dashboard: templates, and the plain
// structs that they show. It knows no requests and no database; what it is given
// is escaped where it lands, so hostile text stays text. The *_templ.go files
// are generated from the *.templ files beside them.
package view

// HelpErrorsPath is where the error codes are explained, each at the anchor of
// its name.
const HelpErrorsPath = "/help/errors"

// Page is what the frame around every page shows.
type Page struct {
	Title      string // also the heading
	Site       string // name of the installation
	Stylesheet string // path of the CSS
	Icon       string // path of the SVG
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
