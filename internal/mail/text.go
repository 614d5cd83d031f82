package mail

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/secret"
)

// The kinds of mails.
const (
	KindInvitation   Kind = "invitation"
	KindVerification Kind = "verification"
	KindReset        Kind = "reset"
	KindPassword     Kind = "password"
	KindFactor       Kind = "factor"
	KindDeletion     Kind = "deletion"
	KindRequest      Kind = "request"
	KindSecrets      Kind = "secrets"
)

// Link is a link that a mail carries, good once and for so long.
type Link struct {
	Token secret.Plaintext
	Ends  time.Time
}

// Verification asks somebody to prove that an address is theirs.
func Verification(to Recipient, link Link) Message {
	return Message{
		Kind: KindVerification, To: to, Path: "/verify/", Token: link.Token, Ends: link.Ends,
		Subject: "Verify your e-mail address",
		Text: paragraphs(
			"Somebody signed up with this e-mail address. If it was you, verify it:\n%LINK%",
			fmt.Sprintf("The link works once, until %s. In another browser than the one that signed up, it asks for the password.", date(link.Ends)),
			"If it was not you, do nothing: what was signed up for is deleted after 30 days."),
	}
}

// Reset lets somebody set a new password.
func Reset(to Recipient, link Link) Message {
	return Message{
		Kind: KindReset, To: to, Path: "/recover/", Token: link.Token, Ends: link.Ends,
		Subject: "Set a new password",
		Text: paragraphs(
			"Somebody asked to set a new password for this e-mail address. If it was you, set it:\n%LINK%",
			fmt.Sprintf("The link works once, until %s. A second factor stays as it is, and is asked for as before.", date(link.Ends)),
			"If it was not you, do nothing: your password stays as it is."),
	}
}

// PasswordChanged tells somebody that their password is another one now.
func PasswordChanged(to Recipient) Message {
	return Message{
		Kind: KindPassword, To: to, Notice: true, Path: "/recover",
		Subject: "Your password was changed",
		Text: paragraphs(
			"The password for this e-mail address was changed, and all other sessions were ended.",
			"If it was not you, set a new one at once, then look through your sessions:\n%LINK%"),
	}
}

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

// FactorSet tells somebody that they have a new second factor.
func FactorSet(to Recipient) Message {
	return factorNotice(to, "Your second factor was set up", "A second factor was set up for this e-mail address. One from before, and its recovery codes, are no longer good.")
}

// FactorRemoved tells somebody that they have no second factor any more.
func FactorRemoved(to Recipient) Message {
	return factorNotice(to, "Your second factor was removed", "The second factor for this e-mail address was removed: the password alone signs in now, and reaches nothing in production.")
}

// RecoveryCodesRenewed tells somebody that they have new recovery codes.
func RecoveryCodesRenewed(to Recipient) Message {
	return factorNotice(to, "Your recovery codes were renewed", "New recovery codes were made for this e-mail address. Those from before are no longer good.")
}

// RecoveryCodeUsed tells somebody that a recovery code signed in.
func RecoveryCodeUsed(to Recipient) Message {
	return factorNotice(to, "A recovery code was used", "A recovery code took the place of your second factor. It is no longer good.")
}

func factorNotice(to Recipient, subject, text string) Message {
	return Message{
		Kind: KindFactor, To: to, Notice: true, Path: "/recover", Subject: subject,
		Text: paragraphs(text, "If it was not you, set a new password at once, then look through your sessions:\n%LINK%"),
	}
}

// OrganisationDeleted tells an admin that the organisation is about to be erased.
func OrganisationDeleted(path, who, organisation string, ends time.Time) Message {
	return Message{
		Kind: KindDeletion, Path: path,
		Subject: fmt.Sprintf("%s is being deleted", quoted(organisation)),
		Text: paragraphs(
			fmt.Sprintf("%s deleted the organisation %s. All of its API clients have stopped.", quoted(who), quoted(organisation)),
			fmt.Sprintf("Until %s it can be restored:\n%%LINK%%", date(ends)),
			"After that it is erased with everything that belongs to it."),
	}
}

// RequestAsked tells somebody that a change waits for their approval.
func RequestAsked(path, who, organisation, note string) Message {
	said := "They left no note."
	if note != "" {
		said = "They say: " + quoted(note)
	}
	return Message{
		Kind: KindRequest, Path: path,
		Subject: fmt.Sprintf("%s asks for a change in %s", quoted(who), quoted(organisation)),
		Text:    paragraphs(fmt.Sprintf("%s asks for a change in %s that you may make, and they may not. %s", quoted(who), quoted(organisation), said), "Look at exactly what would change, and approve or decline it within seven days:\n%LINK%"),
	}
}

// RequestDecided tells somebody what became of their request.
func RequestDecided(path, who, state, reason string) Message {
	said := ""
	if reason != "" {
		said = " They say: " + quoted(reason)
	}
	return Message{
		Kind: KindRequest, Path: path,
		Subject: "Your request was " + state,
		Text:    paragraphs(fmt.Sprintf("%s has %s your request.%s", quoted(who), state, said), "See it here:\n%LINK%"),
	}
}

// EndingSecret is a client secret of which a mail tells that it ends.
type EndingSecret struct {
	Secret, ID       string // its name and public id
	Client, ClientID string // name and id
	Ends             time.Time
	Over             bool      // it has ended
	UsedAt           time.Time // zero: never
	UsedFrom         netip.Addr
	Path             string // of the Dashboard, where it is replaced
}

// SecretsEnd tells somebody of client secrets that end soon, or have ended.
func SecretsEnd(to Recipient, secrets []EndingSecret) Message {
	const most = 50
	m := Message{Kind: KindSecrets, To: to, Notice: true, Subject: fmt.Sprintf("%d client secrets end", len(secrets))}
	if len(secrets) == 1 {
		m.Subject = fmt.Sprintf("A secret of the client %s ends", quoted(secrets[0].Client))
	}
	var all []string
	for _, s := range secrets[:min(most, len(secrets))] {
		all = append(all, s.paragraph())
	}
	if more := len(secrets) - most; more > 0 {
		all = append(all, fmt.Sprintf("And %d more.", more))
	}
	m.Text = paragraphs(append(all,
		"Add another secret, let your programs use it, then revoke the old one. Nothing stops in between.",
		"You get this as a client's contact, or because you may change its secrets. Switch it off here:\n%DASHBOARD%/me/preferences")...)
	return m
}

func (s *EndingSecret) paragraph() string {
	verb, used := "ends", "It was never used."
	if s.Over {
		verb = "ended"
	}
	if !s.UsedAt.IsZero() {
		used = fmt.Sprintf("It was last used on %s", date(s.UsedAt))
		if s.UsedFrom.IsValid() {
			used += ", at " + s.UsedFrom.String()
		}
		used += "."
	}
	return fmt.Sprintf("The secret %s (%s) of the client %s (%s) %s on %s. %s\n%%DASHBOARD%%%s", quoted(s.Secret), s.ID, quoted(s.Client), s.ClientID, verb, date(s.Ends), used, s.Path)
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
	const longest = 120
	name = strings.Join(strings.Fields(name), " ")
	if runes := []rune(name); len(runes) > longest {
		name = string(runes[:longest-1]) + "…"
	}
	name = strings.NewReplacer(".", "․", ":", "꞉", "/", "⁄", "@", "＠", "“", "'", "”", "'", "%", "٪").Replace(name)
	return "“" + name + "”"
}
