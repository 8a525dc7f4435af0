package devserver

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/andybalholm/brotli"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// Identities of the recorded self-hosted server.
const (
	accountID = "00000000-0000-4000-a000-000000000000"
	envID     = "00000000-0000-4000-b000-000000000000"
)

// maxRedirects is how many redirects the server follows.
const maxRedirects = 60

// newCallClient makes the client for calls: a new connection for each, as in
// every recording, redirects followed with all that the call had.
func newCallClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            (&net.Dialer{KeepAlive: 15 * time.Second}).DialContext,
			DisableKeepAlives:      true,
			Proxy:                  nil, // loopback and named hosts only
			MaxResponseHeaderBytes: 1 << 20,
		},
		CheckRedirect: followRedirect,
	}
}

// newPlainClient makes the client for what is no call.
func newPlainClient() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, Proxy: nil}, CheckRedirect: followRedirect}
}

// followRedirect keeps body, signature and all headers, whatever the status
// and the host, and adds the first query to the new one. A 301, 302 or 303
// becomes a GET with a body (recordings 97, 98, 100).
func followRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("stopped after %d redirects", maxRedirects)
	}
	first := via[0]
	if first.GetBody != nil {
		body, err := first.GetBody()
		if err != nil {
			return err
		}
		req.Body = body
	}
	req.ContentLength = first.ContentLength
	for name, values := range first.Header {
		if len(values) > 0 {
			req.Header.Set(name, values[0])
		}
	}
	query := req.URL.Query()
	for name, values := range first.URL.Query() {
		query.Set(name, values[0])
	}
	req.URL.RawQuery = query.Encode()
	return nil
}

// An answer is what came back from a call, unwrapped and inflated.
type answer struct {
	status  int
	header  http.Header
	body    []byte
	fromSDK bool
	noRetry bool
	retryAt time.Time // of the scheduler's clock; zero: not told
	version int
}

// errTooLarge is an answer over the server's limit.
const errTooLarge = said("Your function's response body exceeds the maximum size limit")

// exchange sends one call and reads its answer.
func (s *Server) exchange(ctx context.Context, req *http.Request) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.CallTimeout)
	defer cancel()
	req = req.WithContext(ctx)
	req.Close = true
	req.Header.Set("User-Agent", "Inngest")
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("call the app: %w", err)
	}
	defer resp.Body.Close()
	body, err := readBody(resp)
	if err != nil {
		return nil, err
	}
	a := &answer{status: resp.StatusCode, header: resp.Header, body: body}
	if a.status == http.StatusCreated {
		if err := a.unwrap(); err != nil {
			return nil, err
		}
	}
	a.fromSDK = a.header.Get(inngest.HeaderSDK) != ""
	a.noRetry = a.header.Get(inngest.HeaderNoRetry) == "true"
	a.version, _ = strconv.Atoi(a.header.Get(inngest.HeaderRequestVersion))
	a.retryAt = s.retryAt(a.header.Get(inngest.HeaderRetryAfter))
	return a, nil
}

// readBody reads an answer of at most 8 MiB. One gzip or br is undone, every
// other coding is an error, "identity" too (seen on server 1.43).
func readBody(resp *http.Response) ([]byte, error) {
	var r io.Reader = resp.Body
	switch coding := strings.TrimSpace(resp.Header.Get("Content-Encoding")); {
	case coding == "" || resp.Uncompressed:
	case strings.EqualFold(coding, "gzip"):
		z, err := gzip.NewReader(resp.Body)
		if err != nil {
			return nil, fmt.Errorf("inflate the answer: %w", err)
		}
		r = z
	case strings.EqualFold(coding, "br"):
		r = brotli.NewReader(resp.Body)
	default:
		return nil, fmt.Errorf("unsupported content encoding: %s", coding)
	}
	body, err := io.ReadAll(io.LimitReader(r, inngest.MaxAnswerBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if len(body) > inngest.MaxAnswerBytes {
		return nil, errTooLarge
	}
	return body, nil
}

// unwrap takes the real answer out of a streamed one: a 201 with leading white
// space and {status, headers, body} (recording 103).
func (a *answer) unwrap() error {
	var w struct {
		Error   *string           `json:"error"`
		Status  int               `json:"status"`
		Headers map[string]string `json:"headers"`
		Body    json.RawMessage   `json:"body"`
	}
	if err := json.Unmarshal(a.body, &w); err != nil {
		return fmt.Errorf("read the streamed answer: %w", err)
	}
	if w.Error != nil {
		return fmt.Errorf("streamed answer: %s", *w.Error)
	}
	var text string
	if json.Unmarshal(w.Body, &text) == nil && bytes.HasPrefix(w.Body, []byte(`"`)) {
		w.Body = []byte(text)
	}
	a.status, a.body = w.Status, w.Body
	for name, value := range w.Headers {
		a.header.Set(name, value)
	}
	return nil
}

// parseDate reads the dates that Retry-After, sleeps and timeouts may hold.
func parseDate(text string) (time.Time, bool) {
	for _, layout := range [...]string{
		time.RFC1123, time.RFC1123Z, time.RFC850, time.ANSIC, time.RFC3339Nano,
		"2006-01-02T15:04:05", time.DateTime, time.DateOnly,
	} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// retryAt reads Retry-After: whole seconds from 1 or a date, at most 24 h
// away and at least 1 s. What is neither counts as absent (seen on server
// 1.43 with 0, -5, 2.5 and "soon"). Dates are the app's, so they are measured
// against the wall clock and moved to the scheduler's.
func (s *Server) retryAt(text string) time.Time {
	if text == "" {
		return time.Time{}
	}
	wait, ok := parseRetryAfter(text, time.Now())
	if !ok {
		return time.Time{}
	}
	wait = min(max(wait, time.Second), 24*time.Hour)
	return s.opts.Clock.Now().Add(wait)
}

func parseRetryAfter(text string, now time.Time) (time.Duration, bool) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		if n < 1 {
			return 0, false
		}
		return time.Duration(min(n, 24*60*60)) * time.Second, true
	}
	t, ok := parseDate(text)
	return t.Sub(now), ok
}
