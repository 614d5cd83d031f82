package metrics

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// A Vector is metrics of one name that the values of labels tell apart.
type Vector[M interface {
	write(page []byte, name, labels string) []byte
}] struct {
	labels []string
	create func() M

	mu     sync.RWMutex
	series map[string]M // by labels as they are written
}

func newVector[M interface {
	write(page []byte, name, labels string) []byte
}](r *Registry, name, help, kind string, labels []string, create func() M) *Vector[M] {
	for _, label := range labels {
		mustBeName(label)
	}
	v := &Vector[M]{labels: labels, create: create, series: map[string]M{}}
	r.add(name, help, kind, v.write)
	return v
}

// With returns the metric of these values, one for each label in the order of
// their names; the first asking makes it, and it is never forgotten. It takes a
// look-up: who counts often keeps what it returns. It panics when the number of
// values is another.
func (v *Vector[M]) With(values ...string) M {
	key := pairs(v.labels, values)
	v.mu.RLock()
	metric, ok := v.series[key]
	v.mu.RUnlock()
	if ok {
		return metric
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if metric, ok = v.series[key]; !ok {
		metric = v.create()
		v.series[key] = metric
	}
	return metric
}

func (v *Vector[M]) write(page []byte, name string) []byte {
	v.mu.RLock()
	series := maps.Clone(v.series)
	v.mu.RUnlock()
	for _, labels := range slices.Sorted(maps.Keys(series)) {
		page = series[labels].write(page, name, labels)
	}
	return page
}

// pairs writes labels as the format does. A value that is not UTF-8, which the
// format does not know, has its wrong bytes replaced.
func pairs(labels, values []string) string {
	if len(labels) != len(values) {
		panic(fmt.Sprintf("metrics: %d values of %d labels", len(values), len(labels)))
	}
	var b strings.Builder
	for i, label := range labels {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(label)
		b.WriteString(`="`)
		_, _ = labelText.WriteString(&b, strings.ToValidUTF8(values[i], "\uFFFD"))
		b.WriteByte('"')
	}
	return b.String()
}
