package devserver

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/signature"
)

// callRequest builds the request for a job as the recordings have it: body,
// headers and query. The caller holds the lock.
func (s *Server) callRequest(j *job) (*http.Request, error) {
	r := j.run
	if r.durable != nil {
		return s.durableRequest(j)
	}
	u, err := url.Parse(r.fn.url)
	if err != nil {
		return nil, fmt.Errorf("url of function %s: %w", r.fn.slug, err)
	}
	query := u.Query()
	query.Set("stepId", j.target())
	u.RawQuery = query.Encode()
	requestID := s.newID()
	body, err := s.callBody(j, requestID)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequest(http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("url of function %s: %w", r.fn.slug, err)
	}
	h := req.Header
	h.Set(inngest.HeaderAccountID, accountID)
	h.Set(inngest.HeaderTraceparent, "00-"+r.trace+"-"+spanID()+"-01")
	h.Set(inngest.HeaderTracestate, fmt.Sprintf("inngest@traceref=%s,inngest@fn=%s,inngest@app=%s",
		url.QueryEscape(`{"tp":"00-`+r.spans+`-`+spanID()+`-01","ts":""}`), r.fn.id, r.fn.app.id))
	h.Set(inngest.HeaderStepID, j.target())
	s.setCallHeaders(h, j, requestID, body)
	return req, nil
}

// setCallHeaders sets what calls and durable re-entries have in common.
func (s *Server) setCallHeaders(h http.Header, j *job, requestID string, body []byte) {
	h.Set("Content-Type", "application/json")
	h.Set(inngest.HeaderRunID, j.run.id)
	h.Set(inngest.HeaderRequestID, requestID)
	h.Set(inngest.HeaderJobID, j.id)
	h.Set(inngest.HeaderGenerationID, strconv.Itoa(j.generation))
	h.Set(inngest.HeaderRequestVersion, strconv.Itoa(j.run.version))
	if !s.key.IsZero() {
		// The wall clock: the app compares with its own.
		h.Set(inngest.HeaderSignature, signature.Sign(s.key, body, time.Now()))
	}
}

// target is the step that the app is to run, "step" for none in particular.
func (j *job) target() string {
	if j.step != "" {
		return j.step
	}
	return "step"
}

// index is where in the stack the step stands that the job follows, from 1.
func (j *job) index() int { return slices.Index(j.run.stack, j.after) + 1 }

// callBody is the canonical JSON of a call request. From 4 MiB − 1 KiB of
// state on it carries no steps, and if it would still pass 4 MiB no events
// either: then use_api tells the app to read them from the API.
func (s *Server) callBody(j *job, requestID string) ([]byte, error) {
	r := j.run
	events := make([]any, len(r.events))
	for i, e := range r.events {
		events[i] = e.inCall()
	}
	useAPI := r.stateBytes > s.opts.StateLimit-1024
	steps := map[string]json.RawMessage{}
	if !useAPI {
		steps = r.memo()
	}
	body, err := s.encodeCall(j, requestID, events, steps, useAPI)
	if err == nil && len(body) > s.opts.StateLimit {
		return s.encodeCall(j, requestID, []any{}, map[string]json.RawMessage{}, true)
	}
	return body, err
}

func (s *Server) encodeCall(j *job, requestID string, events []any, steps map[string]json.RawMessage, useAPI bool) ([]byte, error) {
	r := j.run
	stack := r.stack
	if stack == nil {
		stack = []string{}
	}
	defers := map[string]any{}
	for id, d := range r.defers {
		defers[id] = map[string]bool{"abortable": !d.aborted}
	}
	body, err := json.Marshal(map[string]any{
		"ctx": map[string]any{
			"attempt": j.attempt, "disable_immediate_execution": r.planOnly, "env": "", "fn_id": r.fn.id,
			"generation_id": j.generation, "job_id": j.id, "max_attempts": r.fn.retries + 1, "qi_id": j.ref,
			"request_id": requestID, "run_id": r.id, "stack": map[string]any{"current": j.index(), "stack": stack},
			"step_id": "step", "use_api": useAPI,
		},
		"defers": defers, "event": r.events[0].inCall(), "events": events, "steps": steps,
		"use_api": useAPI, "version": r.version,
	})
	if err != nil {
		return nil, fmt.Errorf("encode the call of run %s: %w", r.id, err)
	}
	return signature.Canonical(body)
}

// memo is what a call carries of the steps: those finished, and changed
// inputs of those to run again.
func (r *run) memo() map[string]json.RawMessage {
	m := maps.Clone(r.steps)
	for id, input := range r.inputs {
		if _, done := m[id]; !done {
			m[id] = input
		}
	}
	return m
}

// spanID makes a random id of a trace's span.
func spanID() string { return randomHex(8) }

func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return hex.EncodeToString(b)
}
