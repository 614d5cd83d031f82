package actor

import "slices"

// Ability is one thing that an actor may do.
type Ability string

// Abilities is a set.
type Abilities map[Ability]bool

// The abilities. A management permission is an ability behind
// [ManagementPrefix], so that clients and people are asked the same question.
const (
	OrganisationRead  Ability = "organisation.read"
	OrganisationWrite Ability = "organisation.write"
	AccountRead       Ability = "account.read"
	AccountWrite      Ability = "account.write"
	MemberRead        Ability = "member.read"
	MemberWrite       Ability = "member.write" // invite, grant roles
	ClientRead        Ability = "client.read"
	ClientWrite       Ability = "client.write"     // create, change, enable
	ClientDisable     Ability = "client.disable"   // the brake, apart from the rest
	SecretWrite       Ability = "secret.write"     // add, rotate, enable, revoke
	PermissionWrite   Ability = "permission.write" // give permissions to clients
	CallRead          Ability = "call.read"
	CallTry           Ability = "call.try"
	ProductRead       Ability = "product.read"
	AuditRead         Ability = "audit.read"
	WebhookRead       Ability = "webhook.read"
	WebhookWrite      Ability = "webhook.write" // with audit.read: it hands out the audit log
	DeclarationRead   Ability = "declaration.read"
	DeclarationWrite  Ability = "declaration.write" // see what it changes; each change needs its own ability too
	RequestWrite      Ability = "request.write"     // of API clients: members ask whatever their roles, and what they may make they decide

	// The operator's alone.
	OrganisationCreate Ability = "organisation.create"
	Suspend            Ability = "suspension.write" // organisations and accounts
	ProductWrite       Ability = "product.write"
	GrantWrite         Ability = "grant.write"       // products to organisations
	PermissionAssign   Ability = "permission.assign" // those that only the operator assigns
	KeyRead            Ability = "key.read"
	KeyWrite           Ability = "key.write"
	NodeRead           Ability = "node.read"  // the servers, and what is in force on them
	TokenRead          Ability = "token.read" // introspect the tokens of any client
)

// EveryAbility returns all abilities in a fixed order.
func EveryAbility() []Ability {
	return append(customerAbilities(), operatorAbilities()...)
}

func customerAbilities() []Ability {
	return []Ability{
		OrganisationRead, OrganisationWrite, AccountRead, AccountWrite, MemberRead, MemberWrite,
		ClientRead, ClientWrite, ClientDisable, SecretWrite, PermissionWrite,
		CallRead, CallTry, ProductRead, AuditRead, WebhookRead, WebhookWrite, DeclarationRead, DeclarationWrite, RequestWrite,
	}
}

func operatorAbilities() []Ability {
	return []Ability{
		OrganisationCreate, Suspend, ProductWrite, GrantWrite, PermissionAssign, KeyRead, KeyWrite, NodeRead, TokenRead,
	}
}

// OperatorOnly says whether the ability is the operator's alone, whoever was
// given it.
func (a Ability) OperatorOnly() bool { return slices.Contains(operatorAbilities(), a) }

// Words say what the ability is good for: "the right to …".
func (a Ability) Words() string {
	switch a {
	case OrganisationRead:
		return "see the organisation"
	case OrganisationWrite:
		return "change the organisation"
	case AccountRead:
		return "see accounts"
	case AccountWrite:
		return "create and change accounts"
	case MemberRead:
		return "see the people"
	case MemberWrite:
		return "invite people and change their roles"
	case ClientRead:
		return "see API clients"
	case ClientWrite:
		return "create and change API clients"
	case ClientDisable:
		return "disable API clients and secrets"
	case SecretWrite:
		return "add, rotate and revoke secrets"
	case PermissionWrite:
		return "change the permissions of API clients"
	case CallRead:
		return "see calls"
	case CallTry:
		return "try calls"
	case ProductRead:
		return "see API products"
	case AuditRead:
		return "read the audit log"
	case WebhookRead:
		return "see webhooks"
	case WebhookWrite:
		return "change webhooks"
	case DeclarationRead:
		return "export declarations"
	case DeclarationWrite:
		return "apply declarations"
	case RequestWrite:
		return "ask for changes by an API client, and decide about them"
	case NodeRead:
		return "see the servers"
	case OrganisationCreate:
		return "create organisations"
	case Suspend:
		return "suspend organisations and accounts"
	case ProductWrite:
		return "change API products"
	case GrantWrite:
		return "give products to organisations"
	case PermissionAssign:
		return "assign the operator's permissions"
	case KeyRead:
		return "see signing keys"
	case KeyWrite:
		return "change signing keys"
	case TokenRead:
		return "inspect tokens"
	}
	return string(a)
}

func allAbilities() Abilities { return setOf(EveryAbility()...) }

func setOf(abilities ...Ability) Abilities {
	set := Abilities{}
	for _, a := range abilities {
		set[a] = true
	}
	return set
}

// Role is a named set of abilities, granted on an organisation or on one of
// its accounts, or for the operator on everything.
type Role string

// The roles.
const (
	OrganisationAdmin Role = "organisation_admin"
	AccountAdmin      Role = "account_admin"
	AccessManager     Role = "access_manager"
	Developer         Role = "developer"
	Auditor           Role = "auditor"
	Viewer            Role = "viewer"
	OperatorAdmin     Role = "operator_admin"
	OperatorSupport   Role = "operator_support"
	OperatorAuditor   Role = "operator_auditor"
)

// Roles returns all roles, the customers' first.
func Roles() []Role {
	return []Role{
		OrganisationAdmin, AccountAdmin, AccessManager, Developer, Auditor, Viewer,
		OperatorAdmin, OperatorSupport, OperatorAuditor,
	}
}

// Abilities returns what the role may do: the whole truth about roles. An
// unknown role may do nothing.
func (r Role) Abilities() Abilities {
	reading := []Ability{OrganisationRead, AccountRead, MemberRead, ClientRead, CallRead, ProductRead}
	switch r {
	case OrganisationAdmin:
		return setOf(customerAbilities()...)
	case AccountAdmin:
		return setOf(append(reading, AccountWrite, MemberWrite, ClientWrite, ClientDisable, SecretWrite, PermissionWrite, CallTry)...)
	case AccessManager:
		return setOf(append(reading, PermissionWrite)...)
	case Developer:
		return setOf(append(reading, ClientWrite, ClientDisable, SecretWrite, CallTry)...)
	case Auditor:
		return setOf(append(reading, AuditRead, WebhookRead)...)
	case Viewer:
		return setOf(reading...)
	case OperatorAdmin:
		return allAbilities()
	case OperatorSupport:
		return setOf(append(reading, ClientDisable, KeyRead, NodeRead)...)
	case OperatorAuditor:
		return setOf(append(reading, AuditRead, WebhookRead, KeyRead, NodeRead)...)
	}
	return Abilities{}
}

// Operator says whether the role is the operator's, granted on no organisation.
func (r Role) Operator() bool {
	return r == OperatorAdmin || r == OperatorSupport || r == OperatorAuditor
}

// Title is what people call the role.
func (r Role) Title() string {
	switch r {
	case OrganisationAdmin:
		return "Organisation admin"
	case AccountAdmin:
		return "Account admin"
	case AccessManager:
		return "Access manager"
	case Developer:
		return "Developer"
	case Auditor:
		return "Auditor"
	case Viewer:
		return "Viewer"
	case OperatorAdmin:
		return "Operator admin"
	case OperatorSupport:
		return "Operator support"
	case OperatorAuditor:
		return "Operator auditor"
	}
	return string(r)
}

// Purpose says in a sentence who the role is for.
func (r Role) Purpose() string {
	switch r {
	case OrganisationAdmin:
		return "Does everything in the organisation, and hands out every role."
	case AccountAdmin:
		return "Does everything in an account but read the audit log, and hands out its roles."
	case AccessManager:
		return "Gives permissions to API clients and takes them away."
	case Developer:
		return "Creates API clients and their secrets. Permissions come from an access manager."
	case Auditor:
		return "Reads everything, the audit log too, and changes nothing."
	case Viewer:
		return "Reads everything but the audit log, and changes nothing."
	case OperatorAdmin:
		return "Does everything, for every organisation."
	case OperatorSupport:
		return "Reads everything but the audit log, and stops API clients and secrets."
	case OperatorAuditor:
		return "Reads everything, the audit log too, and changes nothing."
	}
	return ""
}
