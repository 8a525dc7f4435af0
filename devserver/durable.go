package devserver

import (
	"bytes"
	"fmt"
	"net/http"
)

// durable is how a durable endpoint was called: it is re-entered the same way.
type durable struct {
	method string
	url    string
	body   []byte
}

// durableRequest is a re-entry (recordings 128 and 131): the client's method,
// address and body, no fnId, no stepId, no step, account or trace headers.
func (s *Server) durableRequest(j *job) (*http.Request, error) {
	d := j.run.durable
	req, err := http.NewRequest(d.method, d.url, bytes.NewReader(d.body))
	if err != nil {
		return nil, fmt.Errorf("re-enter %s %s: %w", d.method, d.url, err)
	}
	s.setCallHeaders(req.Header, j, s.newID(), d.body)
	return req, nil
}
