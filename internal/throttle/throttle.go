// Package throttle limits how often something may happen per key: tokens issued
// to a client (Rate), and failed authentications answered to an address
// (Failures). It decides from memory, for this process alone; failures it counts
// with the other nodes too, in Redis or in the database (Together).
//
// It hides its table and the others' counts. Memory is fixed when it is made,
// whatever the number of keys, and warm or cold no call that stays in this
// process allocates. What must stay true: no traffic, no number of other keys,
// and no fault of what the nodes share ever lets a key do more than its limit.
// In a table that is too full it may do less, so whoever uses it must bear
// that: a refused failure is still a failure, and a client that is refused a
// token comes back.
package throttle
