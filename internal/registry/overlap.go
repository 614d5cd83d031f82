package registry

import "github.com/doorward/doorward/internal/fault"

// refuseOverlaps refuses two routes that could both claim one call: those of
// the same shape and method, and those that [Pattern.Overlaps] says are
// ambiguous. It compares each route with those alone that share its beginning,
// because a product may have thousands.
func (d *Definition) refuseOverlaps(patterns []Pattern) error {
	var root shapes
	for i := range patterns {
		if j := root.overlapping(patterns[i], 0, false, false); j != nil {
			return fault.Errorf(fault.Invalid, "%s: some paths match both %s and %s, and neither is more specific: change one", d.Key, d.Routes[*j].Path, d.Routes[i].Path)
		}
		end := root.add(patterns[i], i)
		for _, j := range end.routes {
			if d.Routes[i].Method == d.Routes[j].Method {
				return fault.Errorf(fault.Invalid, "%s: %s %s is declared twice: remove one", d.Key, d.Routes[i].Method, d.Routes[i].Path)
			}
		}
		end.routes = append(end.routes, i)
	}
	return nil
}

// shapes is a tree of patterns by their segments. A node stands for what the
// patterns beneath it begin with.
type shapes struct {
	literals  map[string]*shapes
	texts     []string // of literals, in order
	parameter *shapes
	rest      *shapes // has no nodes beneath
	first     int     // the first route that ends here or beneath
	routes    []int   // that end here: at most one for each method
}

// add returns the node of a pattern.
func (s *shapes) add(p Pattern, route int) *shapes {
	for _, segment := range p.segments {
		var next **shapes
		switch segment.Kind {
		case ParameterSegment:
			next = &s.parameter
		case RestSegment:
			next = &s.rest
		default:
			known := s.literals[segment.Text]
			next = &known
			if known == nil {
				if s.literals == nil {
					s.literals = map[string]*shapes{}
				}
				known = &shapes{first: route}
				s.literals[segment.Text] = known
				s.texts = append(s.texts, segment.Text)
			}
		}
		if *next == nil {
			*next = &shapes{first: route}
		}
		s = *next
	}
	return s
}

// overlapping finds a route that is ambiguous beside p, from segment i on. In
// what came before, p was narrower than the routes of this node somewhere, and
// they than p. Same shapes are not ambiguous. It returns nil if there is none.
func (s *shapes) overlapping(p Pattern, i int, narrower, wider bool) *int {
	ended, segment := i == len(p.segments), p.at(i)
	if segment.Kind == RestSegment {
		return s.beneathRest(narrower, wider)
	}
	if s.rest != nil && wider { // and p is narrower than a rest
		return &s.rest.first
	}
	if ended {
		if len(s.routes) > 0 && narrower && wider {
			return &s.routes[0]
		}
		return nil
	}
	if s.parameter != nil {
		if j := s.parameter.overlapping(p, i+1, narrower || segment.Kind == LiteralSegment, wider); j != nil {
			return j
		}
	}
	if segment.Kind == LiteralSegment {
		if next := s.literals[segment.Text]; next != nil {
			return next.overlapping(p, i+1, narrower, wider)
		}
		return nil
	}
	for _, text := range s.texts {
		if j := s.literals[text].overlapping(p, i+1, narrower, true); j != nil {
			return j
		}
	}
	return nil
}

// beneathRest is overlapping for a p that ends here in a rest: all beneath that
// do not are narrower there.
func (s *shapes) beneathRest(narrower, wider bool) *int {
	switch {
	case s.rest != nil && narrower && wider:
		return &s.rest.first
	case !narrower:
	case len(s.routes) > 0:
		return &s.routes[0]
	case s.parameter != nil:
		return &s.parameter.first
	case len(s.texts) > 0:
		return &s.literals[s.texts[0]].first
	}
	return nil
}
