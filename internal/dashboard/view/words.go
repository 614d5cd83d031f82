package view

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// number writes thousands apart by a thin space.
func number(n int) string {
	text := strconv.Itoa(n)
	for at := len(text) - 3; at > 0 && text[at-1] != '-'; at -= 3 {
		text = text[:at] + "\u2009" + text[at:]
	}
	return text
}

// many writes a number and its noun: "1 secret", "2 secrets".
func many(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return number(n) + " " + noun + "s"
}

// Many writes a number and its noun.
func Many(n int, noun string) string { return many(n, noun) }

// absolute writes a time in full, with its zone.
func absolute(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") }

// relative writes a time as people say it within a week, and in full beyond.
func relative(t, now time.Time) string {
	distance := now.Sub(t)
	size := distance.Abs()
	if size >= 7*24*time.Hour {
		return absolute(t)
	}
	var text string
	switch {
	case size < time.Minute:
		return "just now"
	case size < time.Hour:
		text = fmt.Sprintf("%d min", int(size.Minutes()))
	case size < 24*time.Hour:
		text = many(int(size.Hours()), "hour")
	default:
		text = many(int(size.Hours()/24), "day")
	}
	if distance < 0 {
		return "in " + text
	}
	return text + " ago"
}

// Duration writes a length of time in words: "10 minutes", "90 seconds".
func Duration(d time.Duration) string {
	switch {
	case d >= 48*time.Hour && d%(24*time.Hour) == 0:
		return many(int(d/(24*time.Hour)), "day")
	case d >= time.Hour && d%time.Hour == 0:
		return many(int(d/time.Hour), "hour")
	case d >= time.Minute && d%time.Minute == 0:
		return many(int(d/time.Minute), "minute")
	}
	return many(int(d/time.Second), "second")
}

// anchor turns a name into one that can be an id.
func anchor(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, text)
}
