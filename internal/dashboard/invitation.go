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
	"github.com/doorward/doorward/internal/signin"
)

func (d *dashboard) newInvitation(x *exchange) error {
	return x.showNewInvitation(http.StatusOK, view.InvitationForm{Role: string(actor.Developer)})
}

func (x *exchange) showNewInvitation(status int, form view.InvitationForm) (err error) {
	form.Team = x.teamPath()
	if form.Locked, err = x.lockedPeople("people"); err != nil {
		return err
	}
	form.Roles = x.roleChoices(form.Role, func(role actor.Role) bool { return x.mayHandOutSomewhere(role) })
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
	return x.done(x.teamPath(), "An invitation to "+form.Email+" is on its way. Its link works for "+view.Duration(registry.InvitationLifetime)+".", nil)
}

func (d *dashboard) resendInvitation(x *exchange) error {
	if err := d.Registry.ResendInvitation(x.Context(), x.by, id.Invitation(x.PathValue("invitation"))); err != nil {
		return err
	}
	return x.done(x.teamPath(), "A new link is on its way. The older one no longer works.", nil)
}

func (d *dashboard) revokeInvitation(x *exchange) error {
	if err := d.Registry.Apply(x.Context(), x.by, registry.RevokeInvitation{Invitation: id.Invitation(x.PathValue("invitation"))}); err != nil {
		return err
	}
	return x.done(x.teamPath(), "The invitation is revoked. Its link no longer works.", nil)
}

// invited shows an invitation to whoever has its link.
func (d *dashboard) invited(x *exchange) error {
	return x.showInvited(http.StatusOK, view.Invited{})
}

func (x *exchange) showInvited(status int, page view.Invited) error {
	if x.d.People == nil {
		return errNoPage
	}
	i, err := x.d.People.OpenInvitation(x.Context(), x.PathValue("link"))
	if err != nil {
		return overInvitation(err)
	}
	page.Path, page.Organisation, page.Email, page.Inviter, page.ExpiresAt = "/invite/"+x.PathValue("link"), i.OrganisationName, i.Email, x.inviter(&i.Invitation), i.ExpiresAt
	page.Known, page.MinPassword, page.MaxPassword = i.Known, signin.MinPassword, signin.MaxPassword
	if page.Name == "" {
		page.Name = i.Name
	}
	for _, g := range i.Roles {
		held := view.RoleHeld{Role: g.Role.Title()}
		if g.Account != "" {
			held.Place, held.Environment = "one account", string(g.Account.Environment())
		}
		page.Roles = append(page.Roles, held)
	}
	page.SignIn = "/signin?next=" + url.QueryEscape(page.Path)
	if x.session != nil {
		page.Me, page.Mine, page.Unverified = x.session.Person.Email, x.owns(i.Email), x.session.Person.VerifiedAt.IsZero()
	}
	p := x.page("Join " + page.Place())
	p.Width = "narrow"
	return x.show(status, view.InvitedPage(p, page))
}

// overInvitation is the page of a link that is not good any more.
func overInvitation(err error) error {
	if fault.KindOf(err) == fault.Conflict {
		return &failure{status: http.StatusConflict, title: "This invitation is over", text: message(err)}
	}
	return deadLink(err)
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

// accept makes who is signed in a member.
func (d *dashboard) accept(x *exchange) error {
	if x.session == nil {
		return errSignIn
	}
	i, err := d.People.OpenInvitation(x.Context(), x.PathValue("link"))
	if err != nil {
		return overInvitation(err)
	}
	if err := d.People.AcceptInvitation(x.Context(), x.origin(), x.session, x.PathValue("link")); err != nil {
		status, errs, err := x.refused(err, "")
		if err != nil {
			return err
		}
		return x.showInvited(status, view.Invited{Errors: errs})
	}
	return x.joined(&i)
}

// joined leads to where somebody belongs now.
func (x *exchange) joined(i *signin.Invited) error {
	if i.Organisation == "" {
		return x.done("/", "You are one of the operator's people now.", nil)
	}
	return x.done("/o/"+string(i.Organisation), "You are in "+i.OrganisationName+" now.", nil)
}

// signUpInvited makes a person of who was invited, and a member.
func (d *dashboard) signUpInvited(x *exchange) error {
	if d.People == nil {
		return errNoPage
	}
	link := x.PathValue("link")
	i, err := d.People.OpenInvitation(x.Context(), link)
	if err != nil {
		return overInvitation(err)
	}
	page := view.Invited{Name: x.value("name")}
	in, err := d.People.SignUpInvited(x.Context(), x.origin(), link, signin.Newcomer{Name: page.Name, Password: secret.NewPlaintext(x.PostForm.Get("password"))})
	if err != nil {
		status, errs, err := x.refused(err, "password", "name")
		if err != nil {
			return overInvitation(err)
		}
		page.Errors = errs
		return x.showInvited(status, page)
	}
	if err := x.begin(&in); err != nil {
		return err
	}
	return x.joined(&i)
}
