package run

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode"
)

// always is a condition that every event holds.
const always = `async.name != "vars."`

// Matchable returns the condition of a waitForEvent in a form that the server
// finds the event with. The server takes texts out of a condition before it
// compares, and does not read the escapes in them: async.data.note == "a\"b"
// waited for ever (seen on server 1.43). It leaves alone what holds "vars.", the
// name that it would put in their place. Texts come into the condition from the
// event, too, which the server writes in place of event.data and its like.
func Matchable(condition string, event json.RawMessage) string {
	const taken = "vars."
	fromEvent := strings.Contains(condition, "event.") && bytes.ContainsFunc(event, isEscaped)
	if condition == "" || strings.Contains(condition, taken) || !fromEvent && strings.IndexByte(condition, '\\') < 0 {
		return condition
	}
	end := ""
	if strings.Contains(condition, "//") {
		end = "\n" // of what may be a comment
	}
	return "(" + condition + end + ") && " + always
}

// isEscaped tells whether the server writes a character of an event with an
// escape: one that is not printed, or that JSON has escaped already.
func isEscaped(r rune) bool { return r == '\\' || !unicode.IsPrint(r) }
