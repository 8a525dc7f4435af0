package intake

import (
	"fmt"
	"net/http"
)

// A Rule names what a request broke. The list is closed: it is a metric's label.
type Rule string

// Rules for a request as a whole.
const (
	RuleBodySize   Rule = "body_size"   // more bytes than Limits.BodyBytes, inflated ones too
	RuleBodyType   Rule = "body_type"   // neither an object nor an array
	RuleCoding     Rule = "coding"      // a content coding that is not known, or broken data in it
	RuleForm       Rule = "form"        // a form, whose fields are arrays of strings
	RuleSyntax     Rule = "syntax"      // no JSON
	RuleEventCount Rule = "event_count" // more events than Limits.Events
)

// Rules for one event.
const (
	RuleEventSize    Rule = "event_size"    // more bytes than Limits.EventBytes
	RuleType         Rule = "type"          // a member, or the event, is not of the type it must have
	RuleNameEmpty    Rule = "name_empty"    // no name, null or ""
	RuleNameReserved Rule = "name_reserved" // under inngest/, in any letter case
	RuleNameLength   Rule = "name_length"   // longer than Limits.NameLen
	RuleTimestamp    Rule = "timestamp"     // before 1980 or after 2100
	RuleNumber       Rule = "number"        // a number in data or user that no 64-bit float holds
	RuleSessions     Rule = "sessions"      // too many, or a key or an id that is empty or too long
	RuleCloudEvent   Rule = "cloudevent"    // an attribute of a CloudEvent
)

// Rules returns every rule.
func Rules() []Rule {
	return []Rule{
		RuleBodySize, RuleBodyType, RuleCoding, RuleForm, RuleSyntax, RuleEventCount,
		RuleEventSize, RuleType, RuleNameEmpty, RuleNameReserved, RuleNameLength,
		RuleTimestamp, RuleNumber, RuleSessions, RuleCloudEvent,
	}
}

// An Error says why a request is refused. Nothing of a refused request is sent.
type Error struct {
	Index   int    // of the event in the request from 0, -1 if it is about the request
	Field   string // "name", "data", "meta.sessions", ...; empty if it is about the whole event
	Rule    Rule
	Message string // what is wrong, in the server's words where it has any
	Status  int    // of the HTTP answer, 4xx
}

// Error returns the message and, in parentheses, where and by which rule.
func (e *Error) Error() string {
	switch {
	case e.Index < 0:
		return fmt.Sprintf("%s (rule %s)", e.Message, e.Rule)
	case e.Field == "":
		return fmt.Sprintf("%s (event %d, rule %s)", e.Message, e.Index, e.Rule)
	}
	return fmt.Sprintf("%s (event %d, field %s, rule %s)", e.Message, e.Index, e.Field, e.Rule)
}

func wholeError(status int, rule Rule, format string, args ...any) *Error {
	return &Error{Index: -1, Rule: rule, Message: fmt.Sprintf(format, args...), Status: status}
}

// eventError makes an error of one event; the reader fills in the index.
func eventError(field string, rule Rule, format string, args ...any) *Error {
	return &Error{Field: field, Rule: rule, Message: fmt.Sprintf(format, args...), Status: http.StatusBadRequest}
}
