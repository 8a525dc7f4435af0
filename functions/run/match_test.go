package run_test

import (
	"encoding/json"
	"testing"

	"github.com/inngest-gateway/inngest-gateway/functions/run"
)

// As the server 1.43 found the event, or did not.
func TestMatchable_changesOnlyWhatIsNotFoundAsItIs(t *testing.T) {
	const plain, odd = `{"data":{"id":"a b"}}`, `{"data":{"id":"a\"b"}}`
	for name, test := range map[string]struct{ condition, event, want string }{
		"none":                         {``, odd, ``},
		"compares events":              {`async.data.id == event.data.id`, plain, `async.data.id == event.data.id`},
		"compares an event with quote": {`async.data.id == event.data.id`, odd, `(async.data.id == event.data.id) && async.name != "vars."`},
		"compares one with U+2028":     {`async.data.id == event.data.id`, "{\"data\":{\"id\":\"\u2028\"}}", `(async.data.id == event.data.id) && async.name != "vars."`},
		"asks for nothing of it":       {`async.data.id == "a b"`, odd, `async.data.id == "a b"`},
		"holds an escape":              {`async.data.id == "a\\b" || async.data.all`, plain, `(async.data.id == "a\\b" || async.data.all) && async.name != "vars."`},
		"is left alone already":        {`async.data.id == "vars.\n"`, plain, `async.data.id == "vars.\n"`},
		"ends in a comment":            {`async.data.id == "\n" // so`, plain, "(async.data.id == \"\\n\" // so\n) && async.name != \"vars.\""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := run.Matchable(test.condition, json.RawMessage(test.event)); got != test.want {
				t.Errorf("Matchable(%s) = %s, want %s", test.condition, got, test.want)
			}
		})
	}
}
