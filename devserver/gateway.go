package devserver

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// gateway has the server itself make an HTTP request for a step: step.fetch
// (Gateway) and step.ai.infer (AIGateway). The app is not held meanwhile.
func (s *Server) gateway(r *run, op *inngest.GeneratorOp) error {
	if r.seen[op.ID] {
		return nil
	}
	req, err := outsideRequest(op)
	if err != nil {
		return err
	}
	r.seen[op.ID] = true
	s.after(0, func() { s.fetch(r, op, req, 0) })
	return nil
}

// outsideRequest reads what to ask for. The options carry third parties'
// credentials in clear: they are not logged.
func outsideRequest(op *inngest.GeneratorOp) (func(context.Context) (*http.Request, error), error) {
	var opts struct {
		URL     string            `json:"url"`
		Method  string            `json:"method"`
		Headers map[string]string `json:"headers"`
		AuthKey string            `json:"auth_key"`
		Format  string            `json:"format"`
		Body    json.RawMessage   `json:"body"`
	}
	if err := op.ParseOpts(&opts); err != nil {
		return nil, err
	}
	body := []byte(opts.Body)
	var text string
	if op.Op == inngest.OpGateway && json.Unmarshal(opts.Body, &text) == nil {
		body = []byte(text) // step.fetch sends its body as a text (recording 74)
	}
	if string(body) == "null" {
		body = nil
	}
	if opts.Method == "" {
		opts.Method = http.MethodGet
		if op.Op == inngest.OpAIGateway {
			opts.Method = http.MethodPost
		}
	}
	make := func(ctx context.Context) (*http.Request, error) {
		req, err := http.NewRequestWithContext(ctx, opts.Method, opts.URL, bytes.NewReader(body))
		if err != nil {
			return nil, fmt.Errorf("request of step %q: %w", titleOf(op), err)
		}
		if op.Op == inngest.OpAIGateway {
			req.Header.Set("Content-Type", "application/json")
			setModelKey(req.Header, opts.Format, opts.AuthKey)
		}
		for name, value := range opts.Headers {
			req.Header.Set(name, value)
		}
		return req, nil
	}
	_, err := make(context.Background()) // only to see whether it can be made
	return make, err
}

// setModelKey puts a model's key where its provider looks for it.
func setModelKey(h http.Header, format, key string) {
	switch {
	case key == "":
	case format == "anthropic":
		h.Set("X-Api-Key", key)
		h.Set("Anthropic-Version", "2023-06-01")
	case format == "gemini":
		h.Set("X-Goog-Api-Key", key)
	default:
		h.Set("Authorization", "Bearer "+key)
	}
}

// fetch makes the request in the background and ends the step with its answer.
// A request that cannot be made, and a model's error, use up an attempt.
func (s *Server) fetch(r *run, op *inngest.GeneratorOp, make func(context.Context) (*http.Request, error), attempt int) {
	if r.status.Ended() || s.begin == nil {
		return
	}
	started := time.Now()
	s.begin(func(ctx context.Context) {
		output, err := s.fetched(ctx, op, make)
		s.mu.Lock()
		defer s.mu.Unlock()
		again := func() { s.fetch(r, op, make, attempt+1) }
		switch {
		case r.status.Ended():
		case err != nil && ctx.Err() != nil:
			s.after(0, func() { s.fetch(r, op, make, attempt) })
		case err != nil && attempt+1 <= r.fn.retries:
			s.logCall(r, Call{At: s.opts.Clock.Now(), Ms: time.Since(started).Milliseconds(), Step: titleOf(op),
				StepID: op.ID, Op: string(op.Op), Attempt: attempt, Error: err.Error()})
			s.after(s.opts.Backoff(attempt+1), again)
		case err != nil:
			s.saveStep(r, op.ID, errorOutput(&inngest.UserError{Name: "GatewayError", Message: err.Error()}))
			s.discover(r, op.ID+"-failure", op.ID)
		default:
			s.saveStep(r, op.ID, marshal(map[string]any{"data": output}))
			s.discover(r, op.ID+"-fetched", op.ID)
		}
		s.notify()
	})
}

// fetched makes the request. step.fetch gets status, headers and body
// whatever they are (recordings 75 and 76), step.ai.infer the body's JSON.
func (s *Server) fetched(ctx context.Context, op *inngest.GeneratorOp, make func(context.Context) (*http.Request, error)) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.CallTimeout)
	defer cancel()
	req, err := make(ctx)
	if err != nil {
		return nil, err
	}
	resp, err := s.plain.Do(req)
	if err != nil {
		return nil, fmt.Errorf("request of step %q: %w", titleOf(op), err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxStepOutput+1))
	if err != nil {
		return nil, fmt.Errorf("request of step %q: read the answer: %w", titleOf(op), err)
	}
	if len(body) > maxStepOutput {
		return nil, fmt.Errorf("request of step %q: the answer is larger than %d bytes", titleOf(op), maxStepOutput)
	}
	if op.Op == inngest.OpAIGateway {
		if resp.StatusCode >= 400 {
			return nil, fmt.Errorf("request of step %q: the model answered %d", titleOf(op), resp.StatusCode)
		}
		return resultJSON(body), nil
	}
	headers := map[string]string{}
	for name := range resp.Header {
		if name != "Content-Length" {
			headers[name] = resp.Header.Get(name)
		}
	}
	return marshal(map[string]any{
		"body": string(body), "headers": headers, "status_code": resp.StatusCode, "url": req.URL.String(),
	}), nil
}
