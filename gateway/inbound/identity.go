package inbound

import (
	"bytes"
	"strconv"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// A query is what the gateway reads of a call's query; all of it goes to the app
// as it came.
type query struct {
	stepID    []byte // decoded where it was encoded
	hasStepID bool
	probe     bool
}

// checkQuery reads the query of a call. A parameter that says what is to be run
// must be there once: parsers differ in which of two they take.
func (x *exchange) checkQuery() *refusal {
	if x.kind == kindDurable || len(x.head.query) == 0 {
		return nil
	}
	functions := 0
	for rest := x.head.query[1:]; len(rest) > 0; {
		// Some parsers cut at semicolons too.
		var pair []byte
		if i := bytes.IndexAny(rest, "&;"); i >= 0 {
			pair, rest = rest[:i], rest[i+1:]
		} else {
			pair, rest = rest, nil
		}
		name, value, _ := bytes.Cut(pair, []byte("="))
		switch string(unescape(name)) {
		case "stepId":
			if x.query.hasStepID {
				return identityMismatch("the query has two step ids")
			}
			x.query.hasStepID, x.query.stepID = true, unescape(value)
		case "fnId":
			if functions++; functions > 1 {
				return identityMismatch("the query has two function ids")
			}
		case "probe":
			x.query.probe = true
		}
	}
	if x.query.probe && x.kind == kindCall {
		x.kind = kindProbe
	}
	return nil
}

// unescape undoes percent encoding. What has none is returned as it is.
func unescape(b []byte) []byte {
	if bytes.IndexByte(b, '%') < 0 && bytes.IndexByte(b, '+') < 0 {
		return b
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		c := b[i]
		switch {
		case c == '+':
			c = ' '
		case c == '%':
			if v, ok := unhex(b[i+1:]); ok {
				c = v
				i += 2
			}
		}
		out = append(out, c)
	}
	return out
}

// noStep is the step id of a call that targets no step.
const noStep = "step"

// identify takes the identity of a call from its signed body. The signature
// covers neither headers nor path: whoever says there something else than the
// body sends another call than the one that was signed.
func (x *exchange) identify() *refusal {
	if x.kind != kindCall && x.kind != kindIntrospection {
		return nil
	}
	id, ok := inngest.ScanIdentity(x.call.Body)
	if !ok {
		return nil // not in canonical order: passes without an identity
	}
	x.kind = kindCall // a call that a redirect turned into a GET stays one
	x.call.Identity = id
	h := &x.head
	step := id.StepID
	if step == noStep {
		step = "" // ctx says so of targeted calls too: seen in every recording
	}
	if h.stepID != nil && x.query.hasStepID && !bytes.Equal(h.stepID, x.query.stepID) {
		return identityMismatch("X-Inngest-Step-Id and stepId of the query differ")
	}
	for _, c := range [...]struct {
		what   string
		said   []byte
		signed string
	}{
		{"X-Run-Id", h.runID, id.RunID},
		{"X-Inngest-Job-Id", h.jobID, id.JobID},
		{"X-Inngest-Step-Id", h.stepID, step},
		{"stepId of the query", x.query.stepID, step},
	} {
		if c.said != nil && c.signed != "" && string(c.said) != c.signed {
			return identityMismatch(c.what + " is another one than in the signed body")
		}
	}
	var digits [20]byte
	if h.generation != nil && id.Generation > 0 &&
		!bytes.Equal(h.generation, strconv.AppendInt(digits[:0], int64(id.Generation), 10)) {
		return identityMismatch("X-Inngest-Generation-Id is another one than in the signed body")
	}
	return nil
}

func identityMismatch(why string) *refusal {
	return &refusal{
		code:   inngest.CodeIdentityMismatch,
		detail: "The request says two things about the run that it is for: " + why + ".",
	}
}
