package view

// APIContract is the management API, as its page shows it.
type APIContract struct {
	Intro    []string // paragraphs
	Sections []APISection
}

// APISection is a group of operations.
type APISection struct {
	Anchor     string
	Title      string
	Intro      string
	Operations []APIOperation
}

// APIOperation is one operation.
type APIOperation struct {
	Anchor     string
	Method     string
	Path       string
	Title      string
	Text       string
	Permission string // empty: it needs none
	Parameters []APIParameter
	Request    string // example, as JSON; empty: no body
	Status     string // of success
	Response   string // example, as JSON; empty: no body
}

// APIParameter is one in path, query or header.
type APIParameter struct {
	Name string
	In   string
	Text string
}
