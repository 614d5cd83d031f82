package dashboard

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/mail"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/signingkey"
)

// operatorPath is where the operator's area begins.
const operatorPath = "/operator"

// operatorNav is the rail of the operator's area: seven entries at most.
var operatorNav = []navEntry{
	{"Home", "", "house", "h"},
	{"Organisations", "/organisations", "building-2", "o"},
	{"Products", "/products", "package", "p"},
	{"API clients", "/clients", "boxes", "c"},
	{"Staff", "/staff", "users", "t"},
	{"Signing keys", "/keys", "key-round", "k"},
	{"Audit log", "/audit", "scroll-text", "a"},
}

// operatorRoutes are those of the operator's area. They are not there for people
// without a role of the operator's.
func (d *dashboard) operatorRoutes() []route {
	return slices.Concat(d.organisationRoutes(), d.operatorClientRoutes(), []route{
		{method: "GET", pattern: "/operator", handle: d.operatorHome, needs: actor.NodeRead},
		{method: "GET", pattern: "/operator/audit", handle: d.audit, needs: actor.AuditRead},
		{method: "GET", pattern: "/operator/audit/export", handle: d.exportAudit, needs: actor.AuditRead},
		{method: "GET", pattern: "/operator/audit/{record}", handle: d.auditRecord, needs: actor.AuditRead},
		{method: "GET", pattern: "/operator/people/{person}/factor", handle: d.confirmFactorDrop, needs: actor.MemberRead},
		{method: "POST", pattern: "/operator/people/{person}/factor", handle: d.dropFactor, needs: actor.MemberWrite},
		{method: "GET", pattern: "/operator/staff", handle: d.team, needs: actor.MemberRead},
		{method: "GET", pattern: "/operator/staff/invite", handle: d.newInvitation, needs: actor.MemberRead},
		{method: "POST", pattern: "/operator/staff/invite", handle: d.invite, needs: actor.MemberWrite},
		{method: "GET", pattern: "/operator/staff/{person}", handle: d.member, needs: actor.MemberRead},
		{method: "POST", pattern: "/operator/staff/{person}", handle: d.changeRoles, needs: actor.MemberWrite},
		{method: "GET", pattern: "/operator/staff/{person}/remove", handle: d.removal, needs: actor.MemberRead},
		{method: "POST", pattern: "/operator/staff/{person}/remove", handle: d.removeMember, needs: actor.MemberWrite},
		{method: "POST", pattern: "/operator/invitations/{invitation}/resend", handle: d.resendInvitation, needs: actor.MemberWrite},
		{method: "POST", pattern: "/operator/invitations/{invitation}/revoke", handle: d.revokeInvitation, needs: actor.MemberWrite},
		{method: "GET", pattern: "/operator/keys", handle: d.keys, needs: actor.KeyRead},
		{method: "GET", pattern: "/operator/keys/{purpose}/rotate", handle: d.confirmRotation, needs: actor.KeyRead},
		{method: "POST", pattern: "/operator/keys/{purpose}/rotate", handle: d.rotateKey, needs: actor.KeyWrite},
		{method: "GET", pattern: "/operator/keys/{key}/withdraw", handle: d.confirmKeyWithdrawal, needs: actor.KeyRead},
		{method: "POST", pattern: "/operator/keys/{key}/withdraw", handle: d.withdrawKey, needs: actor.KeyWrite},
		{method: "GET", pattern: "/operator/mail", handle: d.mails, needs: actor.MemberWrite},
		{method: "GET", pattern: "/operator/mail/{mail}", handle: d.mail, needs: actor.MemberWrite},
		{method: "POST", pattern: "/operator/mail/{mail}", handle: d.readMail, needs: actor.MemberWrite},
	})
}

// operatorClientRoutes are the pages of API clients, for those of the operator:
// the same but for those that show calls of an account.
func (d *dashboard) operatorClientRoutes() (list []route) {
	for _, r := range d.clientRoutes() {
		rest, ok := strings.CutPrefix(r.pattern, "/a/{account}/clients")
		if ok && !strings.HasSuffix(rest, "/postman") && !strings.Contains(rest, "/live") {
			r.pattern = operatorPath + "/clients" + rest
			list = append(list, r)
		}
	}
	return list
}

// operator says whether the route is of the operator's area.
func (r route) operator() bool {
	return r.pattern == operatorPath || strings.HasPrefix(r.pattern, operatorPath+"/")
}

// Process is what the operator's area shows of the process that serves it.
type Process struct {
	Version    string
	Keys       *signingkey.Ring
	Management string               // where clients of the operator are answered: the API's URL, another address, or nowhere
	StaleLimit time.Duration        // of knowledge; then everything is refused
	Age        func() time.Duration // of what it knows; nil: it is not known
	Resting    func() []Resting     // nil: none
}

// Resting is an upstream that this process leaves alone for a while, because it
// could not be reached.
type Resting struct{ Product, Address string }

// operatorHome says how the installation is, what is wrong first, and on a new
// one what to do first.
func (d *dashboard) operatorHome(x *exchange) error {
	spread, err := journal.SpreadOf(x.Context(), d.Registry.DB, 0)
	if err != nil {
		return err
	}
	backlog, err := d.Registry.MailBacklog(x.Context(), x.by)
	if err != nil {
		return err
	}
	page := view.OperatorHome{Nodes: nodeRows(&spread)}
	page.Health = slices.Concat(
		x.nodeHealth(&spread), x.freshness(), x.keyHealth(), x.upstreamHealth(), x.mailHealth(&backlog), x.chainHealth(), x.versionHealth(&spread),
	)
	slices.SortStableFunc(page.Health, func(a, b view.Health) int { return a.Rank() - b.Rank() })
	if page.Steps, err = x.firstRun(); err != nil {
		return err
	}
	return x.show(http.StatusOK, view.OperatorHomePage(x.page("Operator home"), page))
}

// nodeHealth says on how many nodes the newest change is in force.
func (x *exchange) nodeHealth(s *journal.Spread) []view.Health {
	h := view.Health{Title: "Nodes", Text: fmt.Sprintf("The newest change is in force on %d of %d.", s.InForce(), len(s.Nodes))}
	var silent []string
	for _, n := range s.Nodes {
		if n.Silent {
			silent = append(silent, titleOf(n.Name, n.ID))
		}
	}
	switch {
	case len(s.Nodes) == 0:
		h.Tone, h.Text = view.Warn, "No node has written down that it is there."
		h.Remedy = "Wait a few seconds. If it stays so, the database cannot be written to: look into the log."
	case len(silent) > 0:
		h.Tone, h.Text = view.Bad, h.Text+" Not heard of: "+strings.Join(silent, ", ")+"."
		h.Remedy = "A node that was stopped for good goes from the list by itself. One that still runs is cut off from the database: mend the connection, or stop it."
	case s.InForce() < len(s.Nodes):
		h.Tone, h.Remedy = view.Warn, "Usually this takes a second or two: load the page again."
	default:
		h.Tone = view.Good
	}
	return []view.Health{h}
}

func nodeRows(s *journal.Spread) (rows []view.NodeRow) {
	for _, n := range s.Nodes {
		rows = append(rows, view.NodeRow{
			Name: titleOf(n.Name, n.ID), ID: n.ID, Version: n.Version, StartedAt: n.Started, HeardAt: n.Heard, StopsBy: n.StopsBy, Silent: n.Silent, InForce: n.InForce,
		})
	}
	return rows
}

// freshness is how old the knowledge of this process is.
func (x *exchange) freshness() []view.Health {
	if x.d.Process.Age == nil {
		return nil
	}
	age, limit := x.d.Process.Age(), x.d.Process.StaleLimit
	h := view.Health{Title: "Database", Tone: view.Good, Text: engineName(x.d.Registry.DB.Engine()) + ". This node asked it for changes " + shortAge(age) + " ago."}
	if x.d.Registry.DB.Writable(x.Context()) != nil {
		h.Tone, h.Text = view.Bad, h.Text+" It takes no changes."
		h.Remedy = "The disk under it fails or is read-only. Tokens are issued and calls pass, but nothing can be revoked: mend the disk now."
	}
	if age > limit/2 {
		h.Tone = view.Bad
		h.Remedy = "The database does not answer. At an age of " + view.Duration(limit) + " everything is refused: look into the log, and see that it runs and has room."
	}
	return []view.Health{h}
}

func shortAge(age time.Duration) string {
	if age < time.Second {
		return "less than a second"
	}
	return view.Duration(age.Round(time.Second))
}

func engineName(engine string) string {
	switch engine {
	case "sqlite":
		return "SQLite"
	case "postgres":
		return "PostgreSQL"
	}
	return engine
}

// keyHealth is how long the current key of each environment has been signing.
func (x *exchange) keyHealth() (all []view.Health) {
	if x.d.Process.Keys == nil {
		return nil
	}
	keys := x.d.Process.Keys.Keys()
	for _, env := range []id.Environment{id.Sandbox, id.Production} {
		h := view.Health{Title: "Signing key, " + string(env)}
		if at := keyIn(keys, string(env), signingkey.Current); at < 0 {
			h.Tone, h.Text, h.Remedy = view.Bad, "There is none: no tokens are issued.", "A running node makes one within a minute. If it does not, look into its log."
		} else {
			h.Tone, h.Text = view.Good, "It has been signing for "+days(x.d.Now().Sub(keys[at].Activated))+"; the next one is published."
			if keyIn(keys, string(env), signingkey.Next) < 0 {
				h.Tone, h.Text, h.Remedy = view.Warn, "There is no next key.", "A running node makes one within a minute. If it does not, look into its log."
			} else if age := x.d.Now().Sub(keys[at].Activated); age > x.d.Process.Keys.RotateEvery()+day {
				h.Tone = view.Warn
				h.Remedy = "It should have been replaced after " + days(x.d.Process.Keys.RotateEvery()) + ". Nodes do that by themselves: look into their logs."
			}
		}
		all = append(all, h)
	}
	return all
}

func keyIn(keys []signingkey.Info, purpose, state string) int {
	return slices.IndexFunc(keys, func(k signingkey.Info) bool { return k.Purpose == purpose && k.State == state })
}

func days(d time.Duration) string {
	if d < day {
		return "less than a day"
	}
	return view.Duration(d.Truncate(day))
}

// upstreamHealth names the upstreams that this process cannot reach.
func (x *exchange) upstreamHealth() (all []view.Health) {
	if x.d.Process.Resting == nil {
		return nil
	}
	for _, r := range x.d.Process.Resting() {
		all = append(all, view.Health{
			Tone: view.Bad, Title: "Upstream of " + r.Product, Text: "This node cannot connect to " + r.Address + ": calls are refused with 502.",
			Remedy: "See that it runs, and that it can be reached from here. Calls go on by themselves once it can.",
		})
	}
	if len(all) == 0 {
		all = []view.Health{{Tone: view.Good, Title: "Upstreams", Text: "This node could connect to all that were called."}}
	}
	return all
}

// mailHealth says whether mails go out.
func (x *exchange) mailHealth(b *mail.Backlog) []view.Health {
	h := view.Health{Title: "Mail", Tone: view.Good, Text: "Mails are delivered."}
	switch {
	case !x.d.Registry.Mail.Delivers():
		h.Tone, h.Text = view.Warn, "No mail server is named. "+view.Many(b.Waiting, "mail")+" in the outbox."
		h.Remedy = "Set mail.server, or read the mails in the outbox and pass their links on."
	case b.Waiting > 0 && x.d.Now().Sub(b.Oldest) > time.Hour:
		h.Tone, h.Text, h.Remedy = view.Bad, view.Many(b.Waiting, "mail")+" not delivered, the oldest for "+days(x.d.Now().Sub(b.Oldest))+".", "The outbox shows what the mail server said."
	case b.Failed > 0:
		h.Tone, h.Text, h.Remedy = view.Warn, view.Many(b.Failed, "mail")+" given up in the last day.", "The outbox shows what the mail server said."
	}
	if x.by.May(actor.MemberWrite, "") {
		h.Way = view.Link{Label: "Open outbox", Path: operatorPath + "/mail"}
	}
	return []view.Health{h}
}

// chainHealth is what the last verification of the audit chain found.
func (x *exchange) chainHealth() []view.Health {
	h := view.Health{Title: "Audit log"}
	switch chain := x.chain(); {
	case chain.VerifiedAt.IsZero():
		h.Tone, h.Text = view.Neutral, "Its chain of records has not been verified since this node started."
	case chain.Broken > 0:
		h.Tone, h.Text = view.Bad, fmt.Sprintf("It was changed in the database: record %d does not fit the chain of records.", chain.Broken)
		h.Remedy = "Nothing after that record can be trusted. Find out who can write to the database, and compare with a backup or the events of a webhook."
	case chain.Later > 0:
		h.Tone, h.Text = view.Warn, fmt.Sprintf("It is not verified from record %d on, whose form this version does not know.", chain.Later)
		h.Remedy = "Update this node to the newest version that has run on this database. If that does not know the form either, the log was changed."
	default:
		h.Tone, h.Text = view.Good, "No record was changed, removed or added later."
	}
	return []view.Health{h}
}

// versionHealth says which binaries run.
func (x *exchange) versionHealth(s *journal.Spread) []view.Health {
	h := view.Health{Title: "Version", Tone: view.Good, Text: titleOf(x.d.Process.Version, "unknown") + "."}
	for _, n := range s.Nodes {
		if n.Version != x.d.Process.Version && !n.Silent {
			h.Tone, h.Text = view.Warn, "This node runs "+titleOf(x.d.Process.Version, "unknown")+"; others run another version."
			h.Remedy = "Finish the change of versions: restart the others with the new binary."
		}
	}
	return []view.Health{h}
}

// firstRun is what is to be done on a new installation; nothing once all is.
func (x *exchange) firstRun() ([]view.Step, error) {
	products, err := x.d.Registry.Products(x.Context(), x.by, registry.ProductFilter{}, registry.Page{Limit: 2})
	if err != nil {
		return nil, err
	}
	offered := slices.ContainsFunc(products.Items, func(p registry.OfferedProduct) bool { return p.Definition.Key != registry.ManagementKey })
	steps := []view.Step{
		{Title: "Set the public URL", Text: "Callers reach the API domain at " + x.d.APIURL + ". Change public_url before the first client: all tokens carry it.", Done: !onLoopback(x.d.APIURL)},
		{Title: "Name a mail server", Text: "Invitations and links to set passwords go by mail. Set mail.server in the configuration.", Done: x.d.Registry.Mail.Delivers()},
		{Title: "Add the first API product", Text: "A product is what you sell: a path prefix, upstreams, permissions and routes.", Path: productsPath + "/new", Action: "Add product", Done: offered},
	}
	if !slices.ContainsFunc(steps, func(s view.Step) bool { return !s.Done }) {
		return nil, nil
	}
	return steps, nil
}

// onLoopback says whether a URL is of use on this machine alone.
func onLoopback(text string) bool {
	u, err := url.Parse(text)
	if err != nil {
		return true
	}
	address := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || address != nil && address.IsLoopback()
}
