package deliver

import "fmt"

// cut finds the events of a JSON array: where each begins and ends. The array
// is the gateway's own, so this reads brackets and texts and checks no more.
func cut(array []byte, count int) ([]Range, error) {
	events := make([]Range, 0, count)
	depth, from, quoted := 0, -1, false
	for i := 0; i < len(array); i++ {
		switch c := array[i]; {
		case quoted:
			switch c {
			case '\\':
				i++
			case '"':
				quoted = false
			}
		case c == '"':
			quoted = true
		case c == '{' || c == '[':
			depth++
			if depth == 2 {
				from = i
			}
		case c == '}' || c == ']':
			depth--
			if depth == 1 && from >= 0 {
				events = append(events, Range{from, i + 1})
				from = -1
			}
		}
	}
	if depth != 0 || quoted || len(events) != count {
		return nil, fmt.Errorf("a batch of %d events reads as %d", count, len(events))
	}
	return events, nil
}

// part returns the array of some of the events.
func part(array []byte, events []Range, r Range) []byte {
	inner := array[events[r.From].From:events[r.To-1].To]
	p := make([]byte, 0, len(inner)+2)
	p = append(p, '[')
	p = append(p, inner...)
	return append(p, ']')
}
