package inngest

import (
	"bytes"
	"encoding/json"
	"slices"
)

// SameFunctions tells whether two registrations hold the same functions. The
// order does not count (the Go SDK has another one in each answer), nor does
// the order of members or white space; how often a function is listed does.
// Functions that are no JSON are never the same.
func SameFunctions(a, b []json.RawMessage) bool {
	if len(a) != len(b) {
		return false
	}
	x, ok := normalised(a)
	if !ok {
		return false
	}
	y, ok := normalised(b)
	return ok && slices.Equal(x, y)
}

// normalised returns the functions in one spelling, sorted. Numbers keep
// theirs: no SDK writes the same number in two ways.
func normalised(functions []json.RawMessage) ([]string, bool) {
	texts := make([]string, len(functions))
	for i, f := range functions {
		if !json.Valid(f) {
			return nil, false
		}
		d := json.NewDecoder(bytes.NewReader(f))
		d.UseNumber()
		var value any
		if err := d.Decode(&value); err != nil {
			return nil, false
		}
		text, err := json.Marshal(value)
		if err != nil {
			return nil, false
		}
		texts[i] = string(text)
	}
	slices.Sort(texts)
	return texts, true
}
