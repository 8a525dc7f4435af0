package inngest

import (
	"fmt"
	"math"
	"strings"
	"time"
)

const (
	day  = 24 * time.Hour
	week = 7 * day
)

// ParseDuration reads a length of time as the protocol writes it: numbers with
// the units of package time, days (d) and weeks (w), as in "1w2d3h" or "1.5s".
// It takes no sign and no number without a unit.
func ParseDuration(text string) (time.Duration, error) {
	var total time.Duration
	rest := text
	for {
		number, unit, after := nextPart(rest)
		d, ok := onePart(number, unit)
		if !ok || total > math.MaxInt64-d {
			return 0, fmt.Errorf(`duration %q: want numbers with the units w, d, h, m, s, ms, us or ns, as in "1d12h"`, text)
		}
		total += d
		if after == "" {
			return total, nil
		}
		rest = after
	}
}

// nextPart cuts a number and its unit off the text.
func nextPart(text string) (number, unit, rest string) {
	end := strings.IndexFunc(text, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if end < 0 {
		return text, "", ""
	}
	number, rest = text[:end], text[end:]
	end = strings.IndexFunc(rest, func(r rune) bool { return r == '.' || '0' <= r && r <= '9' })
	if end < 0 {
		end = len(rest)
	}
	return number, rest[:end], rest[end:]
}

func onePart(number, unit string) (time.Duration, bool) {
	if number == "" {
		return 0, false
	}
	times := time.Duration(1)
	switch unit {
	case "d":
		unit, times = "h", day/time.Hour
	case "w":
		unit, times = "h", week/time.Hour
	}
	d, err := time.ParseDuration(number + unit)
	if err != nil || unit == "" || d > math.MaxInt64/times {
		return 0, false
	}
	return d * times, true
}
