package dashboard

import (
	"net/http"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/dashboard/view"
)

// roles shows what each of the customers' roles may do.
func (d *dashboard) roles(x *exchange) error {
	held := map[actor.Role]bool{}
	for _, m := range x.session.Memberships {
		if m.Organisation == x.organisation.ID {
			for _, g := range m.Roles {
				held[g.Role] = true
			}
		}
	}
	var matrix view.Matrix
	var roles []actor.Role
	for _, role := range actor.Roles() {
		if !role.Operator() {
			roles = append(roles, role)
			matrix.Roles = append(matrix.Roles, view.Role{Title: role.Title(), Purpose: role.Purpose(), Held: held[role]})
		}
	}
	for _, ability := range actor.EveryAbility() {
		if ability.OperatorOnly() {
			continue
		}
		row := view.AbilityRow{Words: ability.Words(), Key: string(ability)}
		for _, role := range roles {
			row.Has = append(row.Has, role.Abilities()[ability])
		}
		matrix.Abilities = append(matrix.Abilities, row)
	}
	return x.show(http.StatusOK, view.RolesPage(x.page("Roles"), matrix))
}
