package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
)

// record is a row of the audit log. Those without a digest of their content are
// older: their digest covers all fields at once, so that nothing
// binds the others once the content is erased.
type record struct {
	seq, at                                            int64
	organisation, action, subject                      string
	actor, requestID, address                          string
	content, salt, contentDigest, storedDigest, stored []byte
}

// digestOfContent covers what can be erased, and the salt, without which it
// could be guessed.
func (r *record) digestOfContent() []byte {
	return sum(r.salt, []byte(r.address), r.content)
}

// digest covers all fields.
func (r *record) digest() []byte {
	at := binary.BigEndian.AppendUint64(nil, uint64(r.at))
	header := [][]byte{at, []byte(r.organisation), []byte(r.action), []byte(r.subject), []byte(r.actor), []byte(r.requestID)}
	if r.contentDigest == nil {
		return sum(append(append([][]byte{r.salt}, header...), []byte(r.address), r.content)...)
	}
	return sum(append([][]byte{[]byte(headerMark), r.contentDigest}, header...)...)
}

// The marks keep a record of one kind from being passed off as one of the other.
const (
	headerMark = "doorward audit record 2"
	linkMark   = "doorward audit link 2"
)

// link is SHA-256(mark, previous link, seq, digest).
func (r *record) link(previous, digest []byte) []byte {
	h := sha256.New()
	if r.contentDigest != nil {
		h.Write([]byte(linkMark))
	}
	h.Write(previous)
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(r.seq)))
	h.Write(digest)
	return h.Sum(nil)
}

// sum is SHA-256 over fields, each behind its length, so that no two lists share
// an encoding.
func sum(fields ...[]byte) []byte {
	h := sha256.New()
	for _, field := range fields {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(field))))
		h.Write(field)
	}
	return h.Sum(nil)
}

// follows checks the record against its predecessor and returns its link.
func (r *record) follows(last int64, previous []byte) ([]byte, error) {
	digest := r.digest()
	erased := r.content == nil && r.salt == nil
	if erased && r.contentDigest == nil {
		digest = r.storedDigest
	}
	link := r.link(previous, digest)
	switch {
	case r.seq != last+1:
		return nil, &ChainError{last + 1, "it is missing"}
	case !bytes.Equal(digest, r.storedDigest), r.contentDigest != nil && !r.holdsContent(erased):
		return nil, &ChainError{r.seq, "its content does not fit its digest"}
	case !bytes.Equal(link, r.stored):
		return nil, &ChainError{r.seq, "its link does not fit its predecessor"}
	}
	return link, nil
}

// holdsContent says whether the content is the one that was written, or was
// erased whole.
func (r *record) holdsContent(erased bool) bool {
	if erased {
		return r.address == ""
	}
	return bytes.Equal(r.digestOfContent(), r.contentDigest)
}
