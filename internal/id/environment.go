package id

// Environment says which of two worlds an account, its clients and their
// tokens belong to. The zero value is neither, and is not Valid.
type Environment string

// The environments. Nothing ever moves from one to the other.
const (
	Sandbox    Environment = "sandbox"    // for trying out: no real effects
	Production Environment = "production" // the real thing
)

// Valid reports whether e is one of the two environments.
func (e Environment) Valid() bool {
	return e == Sandbox || e == Production
}
