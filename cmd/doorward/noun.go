package main

import "github.com/spf13/cobra"

// noun is a kind of thing that the management API knows, with the commands
// that work on it.
type noun struct {
	name, alias, short string
	id                 []string // fields that name one, for --quiet
	columns            []string // fields of the table of a list
	verbs              []verb
	local              []func() *cobra.Command // on the server's machine
}

// verb is a command made from an operation of the management API. Its
// arguments, flags, filters and help are those of the contract.
type verb struct {
	name      string // two words are a command below another
	operation string
	short     string                       // "": what the contract says
	arguments []string                     // fields in their order; nil: those of the path
	bare      bool                         // no flags for the other fields
	asks      bool                         // first, because it cannot be taken back
	shows     string                       // an operation whose list is shown when it asks
	reads     string                       // an operation whose answer is shown when it asks
	basis     string                       // the operation that reads what this one replaces as a whole
	combine   func(present, given any) any // with a basis: lists; nil: what is given replaces what is there
	creates   bool                         // with a basis: refuse what is there already
	prepare   func(*task) error            // fills in what the command line leaves out
	items     string                       // the member of the answer that holds a list; "": items
	id        []string                     // of the items, where they are of another kind
	columns   []string                     // of the items, where they are of another kind
	example   string
}

// nouns are all of them.
var nouns = []noun{
	{
		name: "org", alias: "organisation", short: "Organisations: your customers",
		id: []string{"id"}, columns: []string{"id", "name", "state", "created_at"},
		verbs: []verb{
			{name: "list", operation: "listOrganisations", example: "doorward org list --state suspended"},
			{name: "get", operation: "getOrganisation"},
			{name: "create", operation: "createOrganisation", example: "doorward org create --name Acme -o json"},
			{name: "update", operation: "updateOrganisation", example: "doorward org update o-4f7k2m9q1x8z3c6v5b0n --name 'Acme Payments'"},
			{name: "suspend", operation: "suspendOrganisation", asks: true},
			{name: "activate", operation: "activateOrganisation"},
			{name: "delete", operation: "deleteOrganisation", asks: true},
			{name: "restore", operation: "restoreOrganisation"},
		},
	},
	{
		name: "account", short: "Accounts: parts of an organisation, sandbox or production",
		id: []string{"id"}, columns: []string{"id", "name", "environment", "state", "created_at"},
		verbs: []verb{
			{name: "list", operation: "listAccounts", example: "doorward account list --environment sandbox"},
			{name: "get", operation: "getAccount"},
			{name: "create", operation: "createAccount", example: "doorward account create --organisation o-4f7k2m9q1x8z3c6v5b0n --environment sandbox --name Testing"},
			{name: "update", operation: "updateAccount"},
			{name: "suspend", operation: "suspendAccount", asks: true},
			{name: "activate", operation: "activateAccount"},
			{name: "delete", operation: "deleteAccount", asks: true},
		},
	},
	{
		name: "member", short: "People of an organisation, or the operator's",
		id: []string{"person_id"}, columns: []string{"person_id", "name", "email", "roles", "second_factor", "last_seen_at"},
		verbs: []verb{
			{name: "list", operation: "listMembers", example: "doorward member list --text ada"},
			{name: "get", operation: "getMember"},
			{name: "update", operation: "changeMemberRoles", example: "doorward member update p-4f7k2m9q1x8z3c6v5b0n --role developer --role auditor"},
			{name: "remove", operation: "removeMember", asks: true},
		},
	},
	{
		name: "invite", alias: "invitation", short: "Invitations to become a member",
		id: []string{"id"}, columns: []string{"id", "email", "roles", "state", "sent_at", "expires_at"},
		verbs: []verb{
			{name: "list", operation: "listInvitations"},
			{name: "create", operation: "createInvitation", example: "doorward invite create --email ada@example.com --role developer@a-s-4f7k2m9q1x8z3c6v5b0n"},
			{name: "resend", operation: "resendInvitation"},
			{name: "revoke", operation: "revokeInvitation", asks: true},
		},
	},
	{
		name: "role", short: "Roles of members: what they hold, and who has them",
		id: []string{"role"}, columns: []string{"role", "operator", "abilities"},
		verbs: []verb{
			{name: "list", operation: "listRoles"},
			{
				name: "grant", operation: "changeMemberRoles", short: "Give a member roles", basis: "getMember", combine: withItems, arguments: []string{"person_id", "roles"},
				example: "doorward role grant p-4f7k2m9q1x8z3c6v5b0n auditor developer@a-s-4f7k2m9q1x8z3c6v5b0n",
			},
			{name: "withdraw", operation: "changeMemberRoles", short: "Take roles from a member", basis: "getMember", combine: withoutItems, arguments: []string{"person_id", "roles"}},
		},
	},
	{
		name: "product", short: "API products, and which organisations may use them",
		id: []string{"key"}, columns: []string{"key", "name", "prefix", "visibility", "sandbox_access", "production_access", "source", "version"},
		verbs: []verb{
			{name: "list", operation: "listProducts", example: "doorward product list --available sandbox"},
			{name: "get", operation: "getProduct", example: "doorward product get orders -o yaml"},
			{
				name: "create", operation: "putProduct", short: "Create an API product", basis: "getProduct", creates: true,
				example: "doorward product create orders --name Orders --prefix /orders --upstream sandbox=http://10.0.0.1:9000\n  doorward product create orders -f orders.yaml",
			},
			{name: "update", operation: "putProduct", short: "Change an API product, in a new version that is live at once", basis: "getProduct", example: "doorward product update orders --visibility published"},
			{name: "delete", operation: "deleteProduct", asks: true},
			{name: "versions", operation: "listProductVersions", id: []string{"version"}, columns: []string{"version", "created_at", "definition.name", "definition.visibility"}},
			{
				name: "grants", operation: "listProductGrants",
				id: []string{"product", "organisation_id", "environment"}, columns: []string{"product", "organisation_id", "environment", "created_at"},
			},
			{
				name: "grant", operation: "grantProduct", arguments: []string{"product", "organisation_id", "environment"},
				example: "doorward product grant orders o-4f7k2m9q1x8z3c6v5b0n production",
			},
			{name: "withdraw", operation: "withdrawProduct", arguments: []string{"product", "organisation_id", "environment"}, asks: true},
		},
	},
	{
		name: "permission", short: "Permissions that API products define",
		id: []string{"key"}, columns: []string{"key", "assignable", "retired", "description"},
		verbs: []verb{
			{name: "list", operation: "listPermissions", example: "doorward permission list --product orders"},
			{name: "get", operation: "getPermission"},
			{name: "create", operation: "putPermission", short: "Define a permission", basis: "getPermission", creates: true, example: "doorward permission create orders.items.read --description 'Read items.'"},
			{name: "update", operation: "putPermission", short: "Change a permission", basis: "getPermission", example: "doorward permission update orders.items.read --retired"},
			{name: "delete", operation: "deletePermission", asks: true},
		},
	},
	{
		name: "route", short: "Routes of an API product: what each call needs",
		id: []string{"method", "path"}, columns: []string{"method", "path", "permissions", "public", "account"},
		verbs: []verb{
			{name: "list", operation: "getRoutes"},
			{
				name: "set", operation: "putRoute", arguments: []string{"product", "method", "path"},
				example: "doorward route set orders GET '/items/{id}' --permission orders.items.read\n  doorward route set orders PUT '/items/{id}' --permission orders.items.read,orders.items.write --permission orders.admin   # both, or the last",
			},
			{name: "delete", operation: "deleteRoute", arguments: []string{"product", "method", "path"}, asks: true},
		},
	},
	{
		name: "client", short: "API clients: machine identities of your customers",
		id: []string{"client_id"}, columns: []string{"client_id", "name", "account_id", "environment", "state", "secrets.working", "last_used_at"},
		verbs: []verb{
			{name: "list", operation: "listClients", example: "doorward client list --account a-s-4f7k2m9q1x8z3c6v5b0n --state enabled\n  doorward client list --filter permission=orders.items.read --filter expires-by=30d -q"},
			{name: "get", operation: "getClient"},
			{
				name: "create", operation: "createClient", prepare: chooseOwner,
				example: "doorward client create --account a-s-4f7k2m9q1x8z3c6v5b0n --name 'Web shop' -o json",
			},
			{name: "update", operation: "updateClient", example: "doorward client update sandbox-round-apple-123 --token-lifetime 5m --network 192.0.2.0/24"},
			{name: "delete", operation: "deleteClient", asks: true},
			{name: "enable", operation: "enableClient"},
			{name: "disable", operation: "disableClient"},
			{name: "permission list", operation: "getClientPermissions", items: "permissions", id: []string{""}, columns: []string{"permission"}},
			{
				name: "permission add", operation: "changeClientPermissions", arguments: []string{"client_id", "add"}, bare: true, items: "permissions", id: []string{""}, columns: []string{"permission"},
				example: "doorward client permission add sandbox-round-apple-123 orders.items.read orders.items.write",
			},
			{name: "permission remove", operation: "changeClientPermissions", arguments: []string{"client_id", "remove"}, bare: true, items: "permissions", id: []string{""}, columns: []string{"permission"}},
		},
	},
	{
		name: "secret", short: "Secrets of API clients",
		id: []string{"id"}, columns: []string{"id", "name", "state", "created_at", "expires_at", "last_used_at"},
		verbs: []verb{
			{name: "list", operation: "listSecrets", example: "doorward secret list sandbox-round-apple-123 --state active"},
			{name: "get", operation: "getSecret"},
			{name: "create", operation: "createSecret", example: "doorward secret create sandbox-round-apple-123 --name ci --expires 90d -o json"},
			{
				name: "rotate", operation: "rotateSecret", prepare: endInADay,
				example: "doorward secret rotate sandbox-round-apple-123 k3f9x2m7q1z8 --name ci --ends 7d",
			},
			{name: "descendants", operation: "getSecretDescendants", columns: []string{"id", "client_id", "name", "state", "last_used_at"}},
			{name: "enable", operation: "enableSecret"},
			{name: "disable", operation: "disableSecret"},
			{name: "revoke", operation: "revokeSecret", asks: true, shows: "getSecretDescendants"},
		},
	},
	{
		name: "request", short: "Requests: changes that some ask for and others make",
		id: []string{"id"}, columns: []string{"id", "state", "requested_by", "note", "created_at", "expires_at"},
		verbs: []verb{
			{name: "list", operation: "listRequests", example: "doorward request list --pending"},
			{name: "get", operation: "getRequest", example: "doorward request get r-4f7k2m9q1x8z3c6v5b0n -o yaml"},
			{name: "create", operation: "createRequest", example: "doorward request create -f changes.yaml --note 'For the release.'\n  echo 'changes: [{action: client.permissions.add, client_id: sandbox-round-apple-123, permissions: [orders.items.read]}]' | doorward request create -f -"},
			{name: "approve", operation: "approveRequest", asks: true, reads: "getRequest"},
			{name: "decline", operation: "declineRequest", example: "doorward request decline r-4f7k2m9q1x8z3c6v5b0n --reason 'Not before the release.'"},
			{name: "withdraw", operation: "withdrawRequest"},
		},
	},
	{
		name: "key", short: "Keys that sign access tokens, and the one that protects them",
		id: []string{"kid"}, columns: []string{"kid", "purpose", "algorithm", "state", "published_at", "activated_at"},
		verbs: []verb{
			{name: "list", operation: "listSigningKeys"},
			{name: "rotate", operation: "rotateSigningKey", arguments: []string{"purpose"}, example: "doorward key rotate production"},
			{name: "withdraw", operation: "withdrawSigningKey", asks: true},
		},
		local: []func() *cobra.Command{newKeyRekey},
	},
	{
		name: "webhook", short: "Webhooks: the audit log, sent as it happens",
		id: []string{"id"}, columns: []string{"id", "name", "url", "events", "state", "pending", "failing_since"},
		verbs: []verb{
			{name: "list", operation: "listWebhooks"},
			{name: "get", operation: "getWebhook"},
			{name: "create", operation: "createWebhook", example: "doorward webhook create --name Siem --url https://hooks.example.com/doorward --event 'client.*' -o json"},
			{name: "update", operation: "updateWebhook"},
			{name: "delete", operation: "deleteWebhook", asks: true},
			{name: "enable", operation: "enableWebhook"},
			{name: "disable", operation: "disableWebhook"},
			{name: "test", operation: "testWebhook"},
			{name: "rotate", operation: "replaceWebhookSecret"},
		},
	},
	{
		name: "node", short: "The servers, and what is in force on them",
		id: []string{"name"}, columns: []string{"name", "version", "revision", "in_force", "silent", "started_at", "heard_at", "stops_by"},
		verbs: []verb{{name: "list", operation: "listNodes", example: "doorward node list   # is everything in force everywhere?\n  doorward node list --revision 1042"}},
	},
	{
		name: "audit", short: "The audit log: who changed what",
		id: []string{"seq"}, columns: []string{"seq", "at", "action", "subject", "actor", "address"},
		verbs: []verb{
			{name: "list", operation: "listAuditRecords", example: "doorward audit list --limit 20\n  doorward audit list --action secret --from 7d -o json"},
			{name: "checkpoints", operation: "listAuditCheckpoints", id: []string{"sequence"}, columns: []string{"sequence", "at", "key"}, example: "doorward audit checkpoints -o json   # to keep elsewhere, with their signatures"},
		},
		local: []func() *cobra.Command{newAuditVerify, newAuditCheckpoint},
	},
}

// newNouns makes the commands of all nouns.
func newNouns() (commands []*cobra.Command) {
	for i := range nouns {
		commands = append(commands, nouns[i].command())
	}
	return commands
}
