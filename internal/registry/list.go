package registry

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/sqldb"
)

// Sizes of a page of a list.
const (
	DefaultPageSize = 50
	MaxPageSize     = 200
)

// Page says which part of a list is asked for. The zero Page is its beginning.
type Page struct {
	Limit int    // items, 1 to MaxPageSize; 0: DefaultPageSize
	After Cursor // Next of the page before
}

// Cursor is where a list goes on. Callers pass it on as it is: it is opaque,
// and good for the same list of the same organisation with the same filter
// only. Any other is fault.Invalid.
type Cursor string

// List is a page of a list. All lists have this shape; they change under the
// reader, who sees each item that stays exactly once.
type List[T any] struct {
	Items []T
	Next  Cursor // empty: there are no more
}

// position is that of an item in the order of its list.
type position struct {
	number int64
	key    string
}

// Where the two orders begin: the newest item, the lowest key.
var (
	beforeNewest = position{number: math.MaxInt64}
	beforeFirst  = position{}
)

// listing is a list being made.
type listing struct {
	*Registry
	scope []byte // what its cursors are good for
	after position
	limit int
}

// list begins a listing for an actor who may see it, after the position
// given or where the page says.
func (r *Registry) list(kind string, by actor.Actor, filter any, page Page, begin position) (*listing, error) {
	scope, err := json.Marshal(struct {
		List, Organisation string
		Filter             any
	}{kind, string(by.Organisation()), filter})
	if err != nil {
		return nil, fmt.Errorf("write down a filter: %w", err)
	}
	l := &listing{Registry: r, scope: scope, after: begin, limit: page.Limit}
	switch {
	case page.Limit < 0 || page.Limit > MaxPageSize:
		return nil, fault.Errorf(fault.Invalid, "a page has 1 to %d items: choose another limit", MaxPageSize)
	case page.Limit == 0:
		l.limit = DefaultPageSize
	}
	if page.After != "" {
		l.after, err = l.position(page.After)
	}
	return l, err
}

const cursorTagLength = 16

func (l *listing) cursor(at position) Cursor {
	text := append(binary.BigEndian.AppendUint64(nil, uint64(at.number)), at.key...)
	return Cursor(base64.RawURLEncoding.EncodeToString(append(l.tag(text), text...)))
}

func (l *listing) position(c Cursor) (position, error) {
	text, err := base64.RawURLEncoding.Strict().DecodeString(string(c))
	whole := err == nil && len(text) >= cursorTagLength+8 && base64.RawURLEncoding.EncodedLen(len(text)) == len(c) // the decoder passes over line ends
	if !whole || subtle.ConstantTimeCompare(text[:cursorTagLength], l.tag(text[cursorTagLength:])) != 1 {
		return position{}, fault.Errorf(fault.Invalid, "the list cannot go on from that cursor: begin again without one, and keep the filters from page to page")
	}
	text = text[cursorTagLength:]
	return position{int64(binary.BigEndian.Uint64(text)), string(text[8:])}, nil
}

func (l *listing) tag(position []byte) []byte {
	text := append(binary.BigEndian.AppendUint64(nil, uint64(len(l.scope))), l.scope...)
	tag := l.Mint.Authenticate("cursor", append(text, position...))
	return tag[:cursorTagLength]
}

// fetch is how many rows a page needs: one more shows whether there are more.
func (l *listing) fetch() int { return l.limit + 1 }

// pageOf is the page that begins the items.
func pageOf[T any](l *listing, items []T, at func(*T) position) List[T] {
	if len(items) <= l.limit {
		return List[T]{Items: items}
	}
	items = items[:l.limit]
	return List[T]{Items: items, Next: l.cursor(at(&items[l.limit-1]))}
}

// partOf is a page of a list that was read as a whole: what stands behind where
// the page before ended.
func partOf[T any](l *listing, all []T, at func(*T) position, behind func(p, after position) bool) List[T] {
	first := slices.IndexFunc(all, func(item T) bool { return behind(at(&item), l.after) })
	if first < 0 {
		return List[T]{}
	}
	return pageOf(l, all[first:], at)
}

// rowsOf runs a query and scans its rows.
func rowsOf[T any](ctx context.Context, tx *sqldb.Tx, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := tx.Query(ctx, query, args...)
	return scanned(rows, err, scan)
}

// filteredRows does the same for a query with filters that may be empty.
func filteredRows[T any](ctx context.Context, tx *sqldb.Tx, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := tx.QueryPlanned(ctx, query, args...)
	return scanned(rows, err, scan)
}

func scanned[T any](rows *sql.Rows, err error, scan func(scanner) (T, error)) (items []T, _ error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		item, err := scan(rows)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, rows.Err()
}

// whereMay returns fault.Forbidden unless the actor has the ability on
// something where it acts, and else the accounts to which a list is limited:
// each between commas, or nothing where it is not.
func whereMay(by actor.Actor, ability actor.Ability) (accounts string, err error) {
	on, whole := by.Where(ability)
	switch {
	case whole:
		return "", nil
	case len(on) == 0:
		return "", by.Require(ability, "")
	}
	var list strings.Builder
	for _, account := range on {
		list.WriteString("," + string(account))
	}
	return list.String() + ",", nil
}

// folded is how texts are compared in a search.
func folded(text string) string { return strings.ToLower(text) }

// searchable is what a text filter looks in.
func searchable[ID ~string](name string, key ID) string { return folded(name + " " + string(key)) }

// containing is the pattern of LIKE … ESCAPE '\' that finds a text literally.
func containing(text string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(folded(text)) + "%"
}

// validFilter refuses what no engine compares, and what nobody searches for.
func validFilter(values ...string) error {
	for _, value := range values {
		if !utf8.ValidString(value) || strings.ContainsRune(value, 0) || utf8.RuneCountInString(value) > maxNameLength {
			return fault.Errorf(fault.Invalid, "a filter needs to be UTF-8 of %d characters at most", maxNameLength)
		}
	}
	return nil
}

// validChoice refuses a filter that is not one of the values. Empty is none.
func validChoice[T ~string](what string, value T, choices ...T) error {
	if value == "" {
		return nil
	}
	texts := make([]string, len(choices))
	for i, choice := range choices {
		if value == choice {
			return nil
		}
		texts[i] = string(choice)
	}
	return fault.Errorf(fault.Invalid, "the filter %s %.40q is not one of %s", what, string(value), strings.Join(texts, ", "))
}

func validEnvironment(e id.Environment) error {
	return validChoice("environment", e, id.Sandbox, id.Production)
}
