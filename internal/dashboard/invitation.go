package dashboard

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
)

func (d *dashboard) newInvitation(x *exchange) error {
	return x.showNewInvitation(http.StatusOK, view.InvitationForm{Role: string(actor.Developer)})
}

func (x *exchange) showNewInvitation(status int, form view.InvitationForm) (err error) {
	form.Team = x.here() + "/team"
	if form.Locked, err = x.lockedPeople("people"); err != nil {
		return err
	}
	form.Roles = roleChoices(form.Role, func(role actor.Role) bool { return x.mayHandOutSomewhere(role) })
	if form.Accounts, err = x.accountChoices(form.Account, actor.MemberWrite); err != nil {
		return err
	}
	form.Everywhere = x.by.May(actor.MemberWrite, "")
	p := x.page("Invite person")
	p.Width = "narrow"
	return x.show(status, view.NewInvitation(p, form))
}

// mayHandOutSomewhere says whether the reader could give somebody a role.
func (x *exchange) mayHandOutSomewhere(role actor.Role) bool {
	accounts, whole := x.by.Where(actor.MemberWrite)
	if whole {
		accounts = append(accounts, "")
	}
	return slices.ContainsFunc(accounts, func(account id.Account) bool {
		return registry.MayHandOut(x.by, actor.RoleGrant{Role: role, Account: account}) == nil
	})
}

// invite mails somebody an invitation.
func (d *dashboard) invite(x *exchange) error {
	form := view.InvitationForm{Email: x.value("email"), Name: x.value("name"), Role: x.value("role"), Account: x.value("account")}
	grant := actor.RoleGrant{Role: actor.Role(form.Role), Account: id.Account(form.Account)}
	if _, err := d.Registry.Invite(x.Context(), x.by, form.Email, form.Name, []actor.RoleGrant{grant}); err != nil {
		status, errs, err := x.refused(err, "email", "name", "role", "account")
		if err != nil {
			return err
		}
		form.Errors = errs
		return x.showNewInvitation(status, form)
	}
	return x.done(x.here()+"/team", "An invitation to "+form.Email+" is on its way. Its link works for "+view.Duration(registry.InvitationLifetime)+".", nil)
}

func (d *dashboard) resendInvitation(x *exchange) error {
	if err := d.Registry.ResendInvitation(x.Context(), x.by, id.Invitation(x.PathValue("invitation"))); err != nil {
		return err
	}
	return x.done(x.here()+"/team", "A new link is on its way. The older one no longer works.", nil)
}

func (d *dashboard) revokeInvitation(x *exchange) error {
	if err := d.Registry.Apply(x.Context(), x.by, registry.RevokeInvitation{Invitation: id.Invitation(x.PathValue("invitation"))}); err != nil {
		return err
	}
	return x.done(x.here()+"/team", "The invitation is revoked. Its link no longer works.", nil)
}

// link takes the two parts of an invitation's link apart.
func (x *exchange) link() (id.Invitation, secret.Plaintext) {
	key, token, _ := strings.Cut(x.PathValue("link"), ".")
	return id.Invitation(key), secret.NewPlaintext(token)
}

// invited shows an invitation to whoever has its link.
func (d *dashboard) invited(x *exchange) error {
	return x.showInvited(http.StatusOK, nil)
}

func (x *exchange) showInvited(status int, errs []view.FieldError) error {
	if x.d.People == nil {
		return errNoPage
	}
	key, token := x.link()
	i, organisation, err := x.d.Registry.OpenInvitation(x.Context(), key, token)
	if err != nil {
		return overInvitation(err)
	}
	page := view.Invited{Path: x.URL.Path, Organisation: organisation, Email: i.Email, Inviter: x.inviter(&i), ExpiresAt: i.ExpiresAt, Errors: errs}
	for _, g := range i.Roles {
		held := view.RoleHeld{Role: g.Role.Title()}
		if g.Account != "" {
			held.Place, held.Environment = "one account", string(g.Account.Environment())
		}
		page.Roles = append(page.Roles, held)
	}
	page.SignIn = "/signin?next=" + url.QueryEscape(x.URL.Path)
	if x.session != nil {
		page.Me, page.Mine = x.session.Person.Email, x.isInvited(&i)
	}
	p := x.page("Join " + page.Place())
	p.Width = "narrow"
	return x.show(status, view.InvitedPage(p, page))
}

// overInvitation is the page of a link that is not good any more.
func overInvitation(err error) error {
	switch fault.KindOf(err) {
	case fault.NotFound:
		return &failure{status: http.StatusNotFound, title: "This link does not work", text: message(err)}
	case fault.Conflict:
		return &failure{status: http.StatusConflict, title: "This invitation is over", text: message(err)}
	}
	return err
}

// inviter is the name of whoever invites.
func (x *exchange) inviter(i *registry.Invitation) string {
	kind, key, _ := strings.Cut(i.InvitedBy, ":")
	if kind != string(actor.Person) {
		return ""
	}
	p, err := x.d.Registry.Person(x.Context(), id.Person(key))
	if err != nil {
		return ""
	}
	return p.Title()
}

// isInvited says whether the invitation is for the address of who is signed in.
func (x *exchange) isInvited(i *registry.Invitation) bool {
	mine, err := registry.ParseEmail(x.session.Person.Email)
	if err != nil {
		return false
	}
	theirs, err := registry.ParseEmail(i.Email)
	return err == nil && mine.Key == theirs.Key
}

// accept makes who is signed in a member.
func (d *dashboard) accept(x *exchange) error {
	if x.session == nil {
		return errSignIn
	}
	key, token := x.link()
	i, organisation, err := d.Registry.OpenInvitation(x.Context(), key, token)
	if err != nil {
		return overInvitation(err)
	}
	if err := d.Registry.Apply(x.Context(), d.People.Self(x.session, x.origin()), registry.AcceptInvitation{Invitation: key, Token: token}); err != nil {
		status, errs, err := x.refused(err, "")
		if err != nil {
			return err
		}
		return x.showInvited(status, errs)
	}
	if i.Organisation == "" {
		return x.done("/", "You are one of the operator's people now.", nil)
	}
	return x.done("/o/"+string(i.Organisation), "You are in "+organisation+" now.", nil)
}
