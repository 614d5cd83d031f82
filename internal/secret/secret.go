// Package secret holds what must not be seen: values that redact themselves,
// the digests that are stored in their place, sealing for the few values that
// must be read again, and the format of client secrets.
//
// It hides every format: what stands in a database column, in a key file and
// in a client secret is known here only, and each begins with a mark of its
// version, so that another can follow.
//
// What must stay true: a Plaintext comes out by Reveal alone, a sealed value
// opens only under the identity of its own row, and nothing here says in an
// error what the secret was.
//
// NIST SP 800-38D (GCM): https://doi.org/10.6028/NIST.SP.800-38D
// RFC 2104 (HMAC): https://www.rfc-editor.org/rfc/rfc2104
package secret

// SealedColumns names, as "table.column", each column whose values a Sealer
// has sealed: what has to be sealed anew when the key-encryption key changes,
// and what a search of a dump for clear secrets may pass over.
func SealedColumns() []string {
	return []string{
		"installation.secret_tag_key",
		"installation.kek_check",
		"signing_key.private_key",
		"webhook.secret",
		"webhook.previous_secret",
		"mail.body",
		"factor.seed",
		"factor.pending",
		"audit_key.private_key",
	}
}
