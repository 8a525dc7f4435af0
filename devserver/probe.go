package devserver

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/signature"
)

// Probe asks an app whether it shares the signing key: POST ?probe=trust, and
// the answer must be signed. Self-hosted servers never send it, so the server
// does not either, unless told to.
func (s *Server) Probe(ctx context.Context, address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return fmt.Errorf("probe %s: %w", address, err)
	}
	query := u.Query()
	query.Set("probe", inngest.ProbeTrust)
	u.RawQuery = query.Encode()
	// {}: an app behind express.json() does not believe an empty body
	// (recordings 42 and 43).
	header, body, err := s.askApp(ctx, http.MethodPost, u.String(), []byte("{}"))
	if err != nil {
		return fmt.Errorf("probe %s: %w", address, err)
	}
	if s.verifier == nil {
		return nil
	}
	if err := s.verifier.VerifyAnswer([]byte(header.Get(inngest.HeaderSignature)), body); err != nil {
		return fmt.Errorf("probe %s: the answer is not believed: %w", address, err)
	}
	return nil
}

// Introspect reads what an app tells of itself: a signed GET.
func (s *Server) Introspect(ctx context.Context, address string) (inngest.Introspection, error) {
	var out inngest.Introspection
	_, body, err := s.askApp(ctx, http.MethodGet, address, nil)
	if err != nil {
		return out, fmt.Errorf("introspect %s: %w", address, err)
	}
	if err := json.Unmarshal(body, &out); err != nil {
		return out, fmt.Errorf("introspect %s: read the answer: %w", address, err)
	}
	return out, nil
}

// askApp makes a signed request to an app that is no call.
func (s *Server) askApp(ctx context.Context, method, address string, body []byte) (http.Header, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.SyncTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	if !s.key.IsZero() {
		req.Header.Set(inngest.HeaderSignature, signature.Sign(s.key, body, time.Now()))
	}
	resp, err := s.plain.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, inngest.MaxAnswerBytes))
	if err != nil {
		return nil, nil, fmt.Errorf("read the answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("the app answered %d: %s", resp.StatusCode, firstBytes(answer))
	}
	return resp.Header, answer, nil
}
