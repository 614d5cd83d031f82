package dashboard

// Inert is what a cell of an export becomes.
var Inert = inert
