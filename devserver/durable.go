package devserver

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/uuid"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// durable is how a durable endpoint was called: it is re-entered the same way.
type durable struct {
	method      string
	url         string
	contentType string
	body        []byte
}

// durableRequest is a re-entry (recordings 128 and 131): the client's method,
// address and body; no fnId, no stepId, no step, account or trace headers. A
// planned step is named by a header, as is the wish for plans only.
func (s *Server) durableRequest(j *job) (*http.Request, error) {
	d := j.run.durable
	req, err := http.NewRequest(d.method, d.url, bytes.NewReader(d.body))
	if err != nil {
		return nil, fmt.Errorf("re-enter %s %s: %w", d.method, d.url, err)
	}
	if len(d.body) == 0 {
		req.Body, req.GetBody = nil, nil
	}
	s.setCallHeaders(req.Header, j, s.newID(), d.body)
	req.Header.Set("Content-Type", d.contentType)
	if j.run.planOnly {
		req.Header.Set(inngest.HeaderForceStepPlan, "true")
	}
	if j.step != "" {
		req.Header.Set(inngest.HeaderStepID, j.step)
	}
	return req, nil
}

// newRunRequest is the body of POST /v1/checkpoint: an app tells that a
// durable endpoint was called, and what has been done for it so far.
type newRunRequest struct {
	RunID string `json:"run_id"`
	Event struct {
		Name string         `json:"name"`
		TS   int64          `json:"ts"`
		Data newRunData     `json:"data"`
		ID   string         `json:"id"`
		V    string         `json:"v"`
		User map[string]any `json:"user"`
	} `json:"event"`
	Steps          []inngest.GeneratorOp `json:"steps"`
	RequestVersion *int                  `json:"request_version"`
	Retries        int                   `json:"retries"`
}

// newRunData is the client's request. Its body is in base64; a plain text
// there is refused with the whole run (seen on server 1.43).
type newRunData struct {
	Domain      string `json:"domain"`
	Method      string `json:"method"`
	Path        string `json:"path"`
	Fn          string `json:"fn"`
	IP          string `json:"ip"`
	ContentType string `json:"content_type"`
	QueryParams string `json:"query_params"`
	Body        []byte `json:"body"`
}

// slug is the function's name: its own, or method and path.
func (d *newRunData) slug() string {
	if d.Fn != "" {
		return d.Fn
	}
	return d.Method + " " + d.Path
}

// function makes what a registration would have told. The ids are those of
// recording 126. It has no flow control.
func (q *newRunRequest) function() *function {
	d := &q.Event.Data
	env := uuid.MustParse(envID)
	appID := uuid.NewSHA1(uuid.NameSpaceOID, append(env[:], d.Domain...))
	fnID := uuid.NewSHA1(uuid.NameSpaceOID, append(appID[:], d.slug()...))
	retries := q.Retries
	if retries < 0 {
		retries = inngest.DefaultRetries
	}
	return &function{
		id: fnID.String(), slug: d.slug(), name: d.slug(), url: d.Domain + d.Path, durable: true, version: 1,
		retries: min(retries, inngest.MaxRetries), app: &app{id: appID.String(), name: d.Domain, url: d.Domain},
	}
}

// call is how the endpoint is to be called again.
func (q *newRunRequest) call() *durable {
	d := &q.Event.Data
	address := d.Domain + d.Path
	if d.QueryParams != "" {
		separator := "?"
		if strings.Contains(address, "?") {
			separator = "&"
		}
		address += separator + d.QueryParams
	}
	kind := d.ContentType
	if kind == "" {
		kind = "application/json"
	}
	method := d.Method
	if method == "" {
		method = http.MethodPost
	}
	return &durable{method: method, url: address, contentType: kind, body: d.Body}
}

// event is the request as an event (recording 129).
func (q *newRunRequest) event(now int64) *event {
	d := &q.Event.Data
	ev := &event{
		id: q.Event.ID, name: q.Event.Name, ts: q.Event.TS, version: q.Event.V, user: q.Event.User,
		data: map[string]any{
			"body": base64.StdEncoding.EncodeToString(d.Body), "content_type": d.ContentType, "domain": d.Domain, "fn": d.Fn,
			"ip": d.IP, "method": d.Method, "path": d.Path, "query_params": d.QueryParams,
		},
	}
	if ev.name == "" {
		ev.name = inngest.EventHTTPRequest
	}
	if ev.ts == 0 {
		ev.ts = now
	}
	return ev
}

// handleOutput is GET /v1/http/runs/{id}/output?token=: a durable endpoint's
// client gets the result as if the endpoint had given it (recording 133). It
// is the token that names the run.
func (s *Server) handleOutput(w http.ResponseWriter, r *http.Request) {
	var claims runClaims
	if err := s.readToken(r.URL.Query().Get("token"), runIssuer, &claims); err != nil {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		s.apiError(w, http.StatusUnauthorized, "Unable to find run with auth token")
		return
	}
	s.mu.Lock()
	run := s.st.runs[claims.RunID]
	s.mu.Unlock()
	late := make(chan struct{})
	stop := s.alarm(s.opts.OutputWait, late)
	defer stop()
	var done chan struct{} // of no run: never
	if run != nil {
		done = run.done
	}
	select {
	case <-done:
	case <-r.Context().Done():
		return
	case <-late:
		jsonType(w)
		w.Write([]byte(`{"status":"running","message":"run did not end within 5 minutes"}`))
		return
	}
	s.mu.Lock()
	output, failure := orNull(run.output), run.failure
	s.mu.Unlock()
	writeOutput(w, output, failure)
}

// writeOutput turns a result {status, headers, body} into an answer; any other
// is written as it is, in "data" or "error".
func writeOutput(w http.ResponseWriter, output, failure json.RawMessage) {
	var result struct {
		Status  int               `json:"status"`
		Headers map[string]string `json:"headers"`
		Body    string            `json:"body"`
	}
	if json.Unmarshal(output, &result) == nil && result.Status > 0 {
		for name, value := range result.Headers {
			w.Header().Set(name, value)
		}
		w.WriteHeader(result.Status)
		w.Write([]byte(result.Body))
		return
	}
	jsonType(w)
	if failure != nil {
		w.Write(marshal(map[string]json.RawMessage{"error": failure}))
		return
	}
	w.Write(marshal(map[string]json.RawMessage{"data": output}))
}

// validDomain tells whether a durable endpoint can be called again at all.
func (d *newRunData) validDomain() bool {
	u, err := url.Parse(d.Domain)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}
