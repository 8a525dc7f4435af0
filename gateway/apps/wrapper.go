package apps

import (
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// A wrapper is the object in the body of a 201: an answer that could not send
// its status and headers first, because it began before they were known.
type wrapper struct {
	text []byte
	at   span
	top  []member

	headers   []member // of the member headers, the signature left out
	headersAt *span    // where that member's value is; nil: there is none
	signature string
	body      []byte // the inner body as text
}

// read takes the wrapper apart. The server lets the last of several members of
// one name win; two readers must not choose differently, so there may be one.
func (w *wrapper) read() error {
	seen := map[string]bool{}
	for _, m := range w.top {
		for _, name := range []string{"status", "headers", "body"} {
			if !m.is(name) {
				continue
			}
			if seen[name] {
				return refuse(inngest.CodeUpstreamBadAnswer, "the body of the 201 has two members %q", name)
			}
			seen[name] = true
		}
		switch {
		case m.is("body"):
			w.body = w.text[m.value.from:m.value.to]
			if w.body[0] == '"' {
				w.body = []byte(unquote(w.body))
			}
		case m.is("headers"):
			w.headersAt = &span{m.value.from, m.value.to}
			if err := w.readHeaders(m.value); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *wrapper) readHeaders(at span) error {
	if string(w.text[at.from:at.to]) == "null" {
		return nil
	}
	all, ok := members(w.text, at)
	if !ok {
		return refuse(inngest.CodeUpstreamBadAnswer, "the headers in the body of the 201 are no object")
	}
	for _, m := range all {
		if !m.is(inngest.HeaderSignature) {
			w.headers = append(w.headers, m)
			continue
		}
		if w.signature != "" {
			return refuse(inngest.CodeUpstreamBadAnswer, "the body of the 201 has two signatures")
		}
		if w.signature = unquote(w.text[m.value.from:m.value.to]); w.signature == "" {
			w.signature = "none" // malformed, not missing
		}
	}
	return nil
}

// sealed returns the edits that put a signature, if there is one, in the place
// of the old one.
func (w *wrapper) sealed(signature string) []edit {
	headers := []byte{'{'}
	if signature != "" {
		headers = append(headers, `"x-inngest-signature":`...)
		headers = append(headers, quote(signature)...)
	}
	for _, m := range w.headers {
		if len(headers) > 1 {
			headers = append(headers, ',')
		}
		headers = append(headers, w.text[m.from:m.value.to]...)
	}
	headers = append(headers, '}')
	if w.headersAt != nil {
		return []edit{{*w.headersAt, headers}}
	}
	headers = append([]byte(`"headers":`), headers...)
	if len(w.top) > 0 {
		headers = append(headers, ',')
	}
	return []edit{{span{w.at.from + 1, w.at.from + 1}, headers}}
}
