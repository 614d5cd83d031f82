package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
)

// record is a row of the audit log. Those without a digest of their content are
// older, of form 1: their digest covers all fields at once, so that nothing
// binds the others once the content is erased. Those of form 2 have one of 32
// bytes. A later form writes its number in a byte before them.
type record struct {
	seq, at                                            int64
	organisation, action, subject                      string
	actor, requestID, address                          string
	content, salt, contentDigest, storedDigest, stored []byte
}

const newestForm = 2

// laterForm is the number of a form that this version does not know; 0: it does.
func (r *record) laterForm() int {
	if len(r.contentDigest) == 1+sha256.Size && r.contentDigest[0] > newestForm {
		return int(r.contentDigest[0])
	}
	return 0
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
	if form := r.laterForm(); form != 0 && r.seq == last+1 {
		return nil, &FormError{r.seq, form}
	}
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
