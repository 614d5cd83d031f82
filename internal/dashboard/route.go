package dashboard

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/actor"
)

// handler answers a request by its exchange, or returns why not.
type handler func(x *exchange) error

// route is an address and what is done there. Its pattern says where: {account}
// and {organisation} are places, which are entered before the handler runs.
type route struct {
	method, pattern string
	handle          handler
	open            bool          // to people who are not signed in
	uploads         bool          // its form may come with a file
	needs           actor.Ability // of a GET: to see it; of a POST: what its refusal names
}

// Route is an address that the Dashboard answers, as tests list them.
type Route struct {
	Method, Pattern string
	Open            bool          // to people who are not signed in
	Needs           actor.Ability // "": none in particular
}

// Routes returns every address in a fixed order.
func Routes() []Route {
	var list []Route
	for _, r := range new(dashboard).routes() {
		list = append(list, Route{r.method, r.pattern, r.open, r.needs})
	}
	return list
}

// routes is the map of the Dashboard.
func (d *dashboard) routes() []route {
	return slices.Concat(d.clientRoutes(), d.operatorRoutes(), d.operatorProductRoutes(), []route{
		{method: "GET", pattern: "/{$}", handle: d.root, open: true},
		{method: "GET", pattern: "/signup", handle: d.signUpForm, open: true},
		{method: "POST", pattern: "/signup", handle: d.signUp, open: true},
		{method: "GET", pattern: "/signin", handle: d.signInForm, open: true},
		{method: "POST", pattern: "/signin", handle: d.signIn, open: true},
		{method: "GET", pattern: "/signin/factor", handle: d.factorForm, open: true},
		{method: "POST", pattern: "/signin/factor", handle: d.giveFactor, open: true},
		{method: "GET", pattern: "/signin/again", handle: d.againForm},
		{method: "POST", pattern: "/signin/again", handle: d.again},
		{method: "POST", pattern: "/signout", handle: d.signOut, open: true},
		{method: "GET", pattern: "/recover", handle: d.recoveryForm, open: true},
		{method: "POST", pattern: "/recover", handle: d.recover, open: true},
		{method: "GET", pattern: "/recover/{token}", handle: d.resetForm, open: true},
		{method: "POST", pattern: "/recover/{token}", handle: d.reset, open: true},
		{method: "GET", pattern: "/verify/{token}", handle: d.verification, open: true},
		{method: "POST", pattern: "/verify/{token}", handle: d.verify, open: true},
		{method: "POST", pattern: "/verify/{token}/join", handle: d.join, open: true},
		{method: "POST", pattern: "/verify/{token}/discard", handle: d.discard, open: true},
		{method: "GET", pattern: "/setup/{token}", handle: d.setUpForm, open: true},
		{method: "POST", pattern: "/setup/{token}", handle: d.setUp, open: true},
		{method: "POST", pattern: "/invite/{link}/signup", handle: d.signUpInvited, open: true},
		{method: "GET", pattern: "/invite/{link}", handle: d.invited, open: true},
		{method: "POST", pattern: "/invite/{link}", handle: d.accept, open: true},

		{method: "GET", pattern: "/search", handle: d.search},
		{method: "GET", pattern: "/me", handle: d.me},
		{method: "POST", pattern: "/me", handle: d.saveMe},
		{method: "POST", pattern: "/me/verification", handle: d.sendVerification},
		{method: "GET", pattern: "/me/delete", handle: d.farewell},
		{method: "POST", pattern: "/me/delete", handle: d.deleteMe},
		{method: "GET", pattern: "/me/preferences", handle: d.preferences},
		{method: "POST", pattern: "/me/preferences", handle: d.savePreferences},
		{method: "GET", pattern: "/me/sessions", handle: d.sessions},
		{method: "POST", pattern: "/me/sessions/others", handle: d.endOtherSessions},
		{method: "POST", pattern: "/me/sessions/{session}/end", handle: d.endSession},
		{method: "GET", pattern: "/me/security", handle: d.security},
		{method: "POST", pattern: "/me/security/password", handle: d.changePassword},
		{method: "POST", pattern: "/me/security/factor", handle: d.beginFactor},
		{method: "POST", pattern: "/me/security/factor/confirm", handle: d.confirmFactor},
		{method: "POST", pattern: "/me/security/factor/remove", handle: d.removeFactor},
		{method: "POST", pattern: "/me/security/codes", handle: d.renewRecoveryCodes},

		{method: "GET", pattern: "/o/{organisation}", handle: d.organisation, needs: actor.OrganisationRead},
		{method: "GET", pattern: "/o/{organisation}/accounts/new", handle: d.newAccount, needs: actor.OrganisationRead},
		{method: "POST", pattern: "/o/{organisation}/accounts/new", handle: d.createAccount, needs: actor.AccountWrite},
		{method: "GET", pattern: "/o/{organisation}/team", handle: d.team, needs: actor.MemberRead},
		{method: "GET", pattern: "/o/{organisation}/team/invite", handle: d.newInvitation, needs: actor.MemberRead},
		{method: "POST", pattern: "/o/{organisation}/team/invite", handle: d.invite, needs: actor.MemberWrite},
		{method: "POST", pattern: "/o/{organisation}/invitations/{invitation}/resend", handle: d.resendInvitation, needs: actor.MemberWrite},
		{method: "POST", pattern: "/o/{organisation}/invitations/{invitation}/revoke", handle: d.revokeInvitation, needs: actor.MemberWrite},
		{method: "GET", pattern: "/o/{organisation}/team/{person}", handle: d.member, needs: actor.MemberRead},
		{method: "POST", pattern: "/o/{organisation}/team/{person}", handle: d.changeRoles, needs: actor.MemberWrite},
		{method: "GET", pattern: "/o/{organisation}/team/{person}/remove", handle: d.removal, needs: actor.MemberRead},
		{method: "POST", pattern: "/o/{organisation}/team/{person}/remove", handle: d.removeMember, needs: actor.MemberWrite},
		{method: "GET", pattern: "/o/{organisation}/leave", handle: d.leaving, needs: actor.OrganisationRead},
		{method: "POST", pattern: "/o/{organisation}/leave", handle: d.leave},
		{method: "GET", pattern: "/o/{organisation}/requests", handle: d.requests, needs: actor.AccountRead},
		{method: "POST", pattern: "/o/{organisation}/requests/{request}/approve", handle: d.approveRequest, needs: actor.PermissionWrite},
		{method: "POST", pattern: "/o/{organisation}/requests/{request}/decline", handle: d.declineRequest, needs: actor.PermissionWrite},
		{method: "GET", pattern: "/o/{organisation}/audit", handle: d.audit, needs: actor.AuditRead},
		{method: "GET", pattern: "/o/{organisation}/audit/export", handle: d.exportAudit, needs: actor.AuditRead},
		{method: "GET", pattern: "/o/{organisation}/audit/{record}", handle: d.auditRecord, needs: actor.AuditRead},
		{method: "GET", pattern: "/o/{organisation}/roles", handle: d.roles, needs: actor.OrganisationRead},
		{method: "GET", pattern: "/o/{organisation}/settings", handle: d.organisationSettings, needs: actor.OrganisationRead},
		{method: "POST", pattern: "/o/{organisation}/settings", handle: d.saveOrganisationSettings, needs: actor.OrganisationWrite},

		{method: "GET", pattern: "/o/{organisation}/delete", handle: d.organisationDeletion, needs: actor.OrganisationRead},
		{method: "POST", pattern: "/o/{organisation}/delete", handle: d.deleteOrganisation, needs: actor.OrganisationWrite},
		{method: "POST", pattern: "/o/{organisation}/restore", handle: d.restoreOrganisation, needs: actor.OrganisationWrite},

		{method: "GET", pattern: "/a/{account}", handle: d.account, needs: actor.AccountRead},
		{method: "GET", pattern: "/a/{account}/products", handle: d.catalogue, needs: actor.ProductRead},
		{method: "GET", pattern: "/a/{account}/products/{product}", handle: d.catalogueProduct, needs: actor.ProductRead},
		{method: "POST", pattern: "/a/{account}/products/{product}/request", handle: d.requestProduct, needs: actor.ProductRead},
		{method: "GET", pattern: "/a/{account}/settings", handle: d.accountSettings, needs: actor.AccountRead},
		{method: "POST", pattern: "/a/{account}/settings", handle: d.saveAccountSettings, needs: actor.AccountWrite},
		{method: "GET", pattern: "/a/{account}/delete", handle: d.accountDeletion, needs: actor.AccountRead},
		{method: "POST", pattern: "/a/{account}/delete", handle: d.deleteAccount, needs: actor.AccountWrite},

		{method: "GET", pattern: "/help", handle: d.help, open: true},
		{method: "GET", pattern: "/help/api", handle: d.helpAPI, open: true},
		{method: "GET", pattern: "/help/errors", handle: d.helpErrors, open: true},
		{method: "GET", pattern: "/help/keys", handle: d.helpKeys, open: true},
		{method: "GET", pattern: "/styleguide", handle: d.styleguide, open: true},
		{method: "POST", pattern: "/theme", handle: d.setTheme, open: true},
	})
}

// clientRoutes are those of API clients.
func (d *dashboard) clientRoutes() []route {
	return []route{
		{method: "GET", pattern: "/start", handle: d.start},
		{method: "GET", pattern: "/a/{account}/start", handle: d.firstSteps, needs: actor.ClientRead},
		{method: "POST", pattern: "/a/{account}/start", handle: d.beginFirstSteps, needs: actor.ClientWrite},
		{method: "GET", pattern: "/a/{account}/clients", handle: d.clients, needs: actor.ClientRead},
		{method: "GET", pattern: "/a/{account}/clients/new", handle: d.newClient, needs: actor.ClientRead},
		{method: "POST", pattern: "/a/{account}/clients/new", handle: d.createClient, needs: actor.ClientWrite},
		{method: "GET", pattern: "/a/{account}/clients/{client}", handle: d.overview, needs: actor.ClientRead},
		{method: "POST", pattern: "/a/{account}/clients/{client}/state", handle: d.setClientState, needs: actor.ClientDisable},
		{method: "GET", pattern: "/a/{account}/clients/{client}/postman", handle: d.postman, needs: actor.ClientRead},
		{method: "GET", pattern: "/a/{account}/clients/{client}/disable", handle: d.confirmDisable, needs: actor.ClientRead},
		{method: "GET", pattern: "/a/{account}/clients/{client}/delete", handle: d.confirmDelete, needs: actor.ClientRead},
		{method: "POST", pattern: "/a/{account}/clients/{client}/delete", handle: d.deleteClient, needs: actor.ClientWrite},
		{method: "GET", pattern: "/a/{account}/clients/{client}/secrets", handle: d.secrets, needs: actor.ClientRead},
		{method: "GET", pattern: "/a/{account}/clients/{client}/secrets/new", handle: d.newSecret, needs: actor.ClientRead},
		{method: "POST", pattern: "/a/{account}/clients/{client}/secrets/new", handle: d.addSecret, needs: actor.SecretWrite},
		{method: "GET", pattern: "/a/{account}/clients/{client}/live", handle: d.live, needs: actor.CallRead},
		{method: "GET", pattern: "/a/{account}/clients/{client}/live/events", handle: d.liveEvents, needs: actor.CallRead},
		{method: "GET", pattern: "/a/{account}/clients/{client}/permissions", handle: d.permissions, needs: actor.ClientRead},
		{method: "POST", pattern: "/a/{account}/clients/{client}/permissions", handle: d.changePermissions, needs: actor.PermissionWrite},
		{method: "GET", pattern: "/a/{account}/clients/{client}/permissions/review", handle: d.reviewPermissions, needs: actor.ClientRead},
		{method: "GET", pattern: "/a/{account}/clients/{client}/settings", handle: d.clientSettings, needs: actor.ClientRead},
		{method: "POST", pattern: "/a/{account}/clients/{client}/settings", handle: d.saveClientSettings, needs: actor.ClientWrite},
		{method: "POST", pattern: "/a/{account}/clients/{client}/env", handle: d.downloadSecret, needs: actor.SecretWrite},
		{method: "GET", pattern: "/a/{account}/clients/{client}/secrets/{secret}/rotate", handle: d.newRotation, needs: actor.ClientRead},
		{method: "POST", pattern: "/a/{account}/clients/{client}/secrets/{secret}/rotate", handle: d.rotateSecret, needs: actor.SecretWrite},
		{method: "POST", pattern: "/a/{account}/clients/{client}/secrets/{secret}/state", handle: d.setSecretState, needs: actor.ClientDisable},
		{method: "GET", pattern: "/a/{account}/clients/{client}/secrets/{secret}/disable", handle: d.confirmDisableSecret, needs: actor.ClientRead},
		{method: "GET", pattern: "/a/{account}/clients/{client}/secrets/{secret}/revoke", handle: d.confirmRevoke, needs: actor.ClientRead},
		{method: "POST", pattern: "/a/{account}/clients/{client}/secrets/{secret}/revoke", handle: d.revokeSecret, needs: actor.SecretWrite},
	}
}

// mux serves the routes and the assets; what is none is an error page.
func (d *dashboard) mux() http.Handler {
	mux := http.NewServeMux()
	for _, a := range d.assets.all {
		mux.Handle("GET "+a.path, a.document)
	}
	byPattern := map[string]methods{}
	for _, r := range d.routes() {
		if byPattern[r.pattern] == nil {
			byPattern[r.pattern] = methods{}
		}
		byPattern[r.pattern][r.method] = r
	}
	for pattern, m := range byPattern {
		mux.Handle(pattern, d.serve(m.dispatch))
	}
	mux.Handle("/", d.serve(func(x *exchange) error {
		x.welcome()
		return errNoPage
	}))
	return mux
}

// methods are the routes of one address.
type methods map[string]route

func (m methods) dispatch(x *exchange) error {
	method := x.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	r, ok := m[method]
	if !ok {
		x.w.Header().Set("Allow", m.allow())
		return errNoMethod
	}
	x.route = r
	if method == http.MethodPost {
		if err := x.readForm(); err != nil {
			return err
		}
	}
	if err := x.enter(); err != nil {
		return err
	}
	return r.handle(x)
}

func (m methods) allow() string {
	all := slices.Sorted(maps.Keys(m))
	if _, ok := m[http.MethodGet]; ok {
		all = append(all, http.MethodHead)
	}
	return strings.Join(all, ", ")
}
