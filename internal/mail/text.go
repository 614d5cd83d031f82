package mail

import (
	"fmt"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/secret"
)

// The kinds of mails.
const (
	KindInvitation Kind = "invitation"
)

// Invitation offers somebody a place. Organisation is empty among the
// operator's people.
func Invitation(to Recipient, path string, token secret.Plaintext, inviter, organisation string, roles []string, ends time.Time) Message {
	place := quoted(organisation)
	if organisation == "" {
		place = "the operator's people"
	}
	return Message{
		Kind: KindInvitation, To: to, Path: path, Token: token, Ends: ends,
		Subject: fmt.Sprintf("%s invites you to %s", quoted(inviter), place),
		Text: paragraphs(
			fmt.Sprintf("%s invites you to %s as %s.", quoted(inviter), place, strings.Join(roles, ", ")),
			"See what it is about, and join or leave it:\n%LINK%",
			fmt.Sprintf("The link is for you alone and works once, until %s. If you do not know who invites you, do nothing.", date(ends))),
	}
}

// paragraphs ends each mail with the same line.
func paragraphs(all ...string) string {
	return strings.Join(append(all, "This mail was written by a program; nobody reads answers to it."), "\n\n") + "\n"
}

// date is a time as mails give it.
func date(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") }

// quoted is a name that somebody chose, in a form that no mail program takes for
// a link, an address or a paragraph of ours.
func quoted(name string) string {
	const longest = 60
	name = strings.Join(strings.Fields(name), " ")
	if runes := []rune(name); len(runes) > longest {
		name = string(runes[:longest-1]) + "…"
	}
	name = strings.NewReplacer(".", "․", ":", "꞉", "/", "⁄", "@", "＠", "“", "'", "”", "'", "%LINK%", "").Replace(name)
	return "“" + name + "”"
}
