package program

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/inngest-gateway/inngest-gateway/functions/expr"
	"github.com/inngest-gateway/inngest-gateway/functions/run"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// A sending is a sendEvent.
type sending struct {
	plain
	events *expr.Template
}

func (c *compiler) sendEvent(m map[string]any, at string, v *view) statement {
	s := &sending{}
	c.sends = true
	in := at + ".sendEvent"
	switch source := m["sendEvent"].(type) {
	case map[string]any:
		c.event(source, in)
	case []any:
		if len(source) == 0 {
			c.add(in, said("an empty list"), "at least one event")
		}
		for n, one := range source {
			if _, isText := one.(string); !isText {
				c.event(one, fmt.Sprintf("%s[%d]", in, n))
			}
		}
	case string:
		if !strings.Contains(source, "${") {
			c.add(in, source, "an event: a group with name and data; a list of events; or an expression that gives one")
		}
	default:
		c.add(in, source, "an event: a group with name and data; a list of events; or an expression that gives one")
	}
	s.events = c.template(m["sendEvent"], in, v, tells)
	return c.step(m, at, v, s)
}

// event looks at an event that is written out.
func (c *compiler) event(source any, at string) {
	m, ok := c.group(source, at, "name", "data", "user", "id", "ts", "v", "meta")
	if !ok {
		return
	}
	name, isText := m["name"].(string)
	switch {
	case !isText || name == "":
		c.add(at+".name", m["name"], "the event's name")
	case strings.HasPrefix(strings.ToLower(name), inngest.ReservedEventPrefix):
		c.add(at+".name", name, "a name that does not begin with inngest/: those are the server's own")
	case len(name) > inngest.MaxEventNameLen:
		c.add(at+".name", name, "a name of at most %d bytes", inngest.MaxEventNameLen)
	}
	switch data := m["data"].(type) {
	case nil, map[string]any, string:
	default:
		c.add(at+".data", data, "a group, or an expression that gives an object")
	}
}

// events is a sendEvent ready to be sent.
type events struct{ list json.RawMessage }

func (s *sending) want(i *interpretation, f *frame, id string) (run.Step, error) {
	e := evaluator{i: i, vars: f.vars}
	list := e.json(s.events)
	if e.err == nil {
		list, e.err = run.IdentifyEvents(list, i.run.ID, id)
	}
	return run.Step{
		Op: inngest.OpStepRun, Text: "sendEvent", Opts: inngest.RunOpts{Type: "step.sendEvent"}, Own: &events{list},
	}, e.err
}
