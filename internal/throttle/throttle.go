// Package throttle limits how often something may happen per key: tokens issued
// to a client (Rate), and failed authentications answered to an address
// (Failures). It decides for this process alone, from memory.
//
// It hides its table. Memory is fixed when it is made, whatever the number of
// keys, and warm or cold no call allocates. What must stay true: no traffic, and
// no number of other keys, ever lets a key do more than its limit. In a table
// that is too full it may do less, so whoever uses it must bear that: a refused
// failure is still a failure, and a client that is refused a token comes back.
package throttle
