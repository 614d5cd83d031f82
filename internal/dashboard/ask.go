package dashboard

import (
	"slices"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

// askField is in a form whose change others are asked to make.
const askField = "ask"

// apply makes the edits of a form, or, if the form asks others to make them,
// sends them as a request. [exchange.done] tells the difference.
func (x *exchange) apply(edits ...registry.Edit) error {
	if !x.asks() {
		return x.d.Registry.Apply(x.Context(), x.by, edits...)
	}
	if idle, err := x.idle(edits); idle || err != nil {
		return errOr(err, errNothingAsked)
	}
	_, err := x.d.Registry.RequestChange(x.Context(), x.by, x.value("why"), edits...)
	x.asked = err == nil
	return err
}

var errNothingAsked = fault.Errorf(fault.Invalid, "nothing is different here: fill in what should change, then ask for it")

// idle says whether a change would leave all as it is.
func (x *exchange) idle(edits []registry.Edit) (bool, error) {
	if len(edits) != 1 {
		return len(edits) == 0, nil
	}
	switch e := edits[0].(type) {
	case registry.RenameOrganisation:
		return e.Name == x.organisation.Name, nil
	case registry.RenameAccount:
		return e.Name == x.account.Name, nil
	case registry.UpdateClient:
		return e == registry.UpdateClient{Client: e.Client, Base: e.Base}, nil
	case registry.ChangeRoles:
		m, err := x.d.Registry.Member(x.Context(), x.by, e.Person)
		return slices.Equal(sortedGrants(e.Roles), sortedGrants(m.Roles)), err
	}
	return false, nil
}

// asks says whether the form asks others to make its change.
func (x *exchange) asks() bool { return x.value(askField) != "" }

// locked says who can change what the person may only look at, and whether they
// can be asked here; nil when they may change it themselves.
func (x *exchange) locked(what string, ability actor.Ability) (*view.Locked, error) {
	if x.by.May(ability, x.account.ID) {
		return nil, nil //nolint:nilnil // not locked is an answer
	}
	l := &view.Locked{What: what, SecondFactor: x.by.NeedsSecondFactor(ability, x.account.ID), Why: x.value("why")}
	var err error
	if !l.SecondFactor {
		l.Holders, err = x.holders(ability)
		l.Asks = x.mayAsk()
	}
	return l, err
}

// mayAsk says whether the person can ask others for a change here: they see the
// place, and are a member.
func (x *exchange) mayAsk() bool {
	return !x.operator && x.by.May(actor.AccountRead, x.account.ID) && slices.ContainsFunc(x.session.Memberships, func(m registry.Membership) bool { return m.Organisation == x.organisation.ID })
}

// holders are the names of those who have an ability here.
func (x *exchange) holders(ability actor.Ability) (names []string, err error) {
	members, err := x.d.Registry.Members(x.Context(), x.by)
	if err != nil {
		return nil, err
	}
	for _, m := range members {
		for _, g := range m.Roles {
			if (g.Account == "" || g.Account == x.account.ID) && g.Role.Abilities()[ability] {
				names = append(names, titleOf(m.Name, m.Email))
				break
			}
		}
	}
	return names, nil
}

// final says whether one of some edits cannot be undone where it matters: in
// production.
func final(edits []registry.Edit) bool {
	return slices.ContainsFunc(edits, func(edit registry.Edit) bool {
		switch e := edit.(type) {
		case registry.SetClientState:
			return e.State == registry.Deleted && !ofSandbox(e.Client)
		case registry.SetSecretState:
			return e.State == registry.SecretRevoked && !ofSandbox(e.Client)
		}
		return false
	})
}

func ofSandbox(client id.Client) bool { return client.Prefix() == id.SandboxClient }
