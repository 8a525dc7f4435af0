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
	"github.com/inngest-gateway/inngest-gateway/signature"
)

// Sync asks an app for its functions once, as the server does when an address
// is in its settings (signed) or was added by a person (unsigned). An app that
// speaks the Register dialect has posted its functions when it returns.
func (s *Server) Sync(ctx context.Context, address string, signed bool) error {
	ctx, cancel := context.WithTimeout(ctx, s.opts.SyncTimeout)
	defer cancel()
	address = normalURL(address)
	body := marshal(map[string]string{"url": address})
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, address, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("sync %s: %w", address, err)
	}
	// net/http sends its own User-Agent, and so did the server (recording 29).
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(inngest.HeaderServerKind, s.opts.ServerKind)
	if s.opts.Dialect == InBandOnly {
		req.Header.Set(inngest.HeaderSyncKind, inngest.SyncInBand)
	}
	if signed && !s.key.IsZero() {
		req.Header.Set(inngest.HeaderSignature, signature.Sign(s.key, body, time.Now()))
	}
	resp, err := s.plain.Do(req)
	if err != nil {
		return fmt.Errorf("sync %s: %w", address, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, inngest.MaxAnswerBytes))
	if err != nil {
		return fmt.Errorf("sync %s: read the answer: %w", address, err)
	}
	if resp.StatusCode >= 400 {
		return fmt.Errorf("sync %s: the app answered %d: %s", address, resp.StatusCode, firstBytes(answer))
	}
	if s.opts.Dialect == InBandOnly {
		return s.takeInBand(address, resp.Header, answer)
	}
	return nil
}

// AddApp syncs an address that a person added: unsigned.
func (s *Server) AddApp(ctx context.Context, address string) error {
	return s.Sync(ctx, address, false)
}

// takeInBand registers the functions of a signed answer.
func (s *Server) takeInBand(address string, h http.Header, body []byte) error {
	if err := s.verifier.VerifyAnswer([]byte(h.Get(inngest.HeaderSignature)), body); err != nil {
		return fmt.Errorf("sync %s: the answer is not believed: %w", address, err)
	}
	if kind := h.Get(inngest.HeaderSyncKind); kind != inngest.SyncInBand {
		return fmt.Errorf("sync %s: the app answered sync kind %q, want %q", address, kind, inngest.SyncInBand)
	}
	var answer inngest.InBandAnswer
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("sync %s: read the answer: %w", address, err)
	}
	if _, _, err := s.register(answer.Register(), "in_band"); err != nil {
		return fmt.Errorf("sync %s: %w", address, err)
	}
	return nil
}

// keepSynced syncs an address of the settings until that succeeds, and again
// after Forget. It tells why it does not when the reason is a new one.
func (s *Server) keepSynced(ctx context.Context, address string) {
	done, told := -1, ""
	for {
		if wiped := s.wipes(); done != wiped {
			if err := s.Sync(ctx, address, true); err == nil {
				done, told = wiped, ""
			} else if ctx.Err() == nil && err.Error() != told {
				told = err.Error()
				s.log.Warn("sync failed, trying again until it succeeds", "url", address, "err", err, "every", s.opts.SyncInterval)
			}
		}
		t := time.NewTimer(s.opts.SyncInterval)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
	}
}

// wipes counts how often the server was made to forget.
func (s *Server) wipes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wiped
}

// firstBytes is the beginning of a body, for an error's text.
func firstBytes(b []byte) string {
	const enough = 200
	if len(b) > enough {
		b = b[:enough]
	}
	return string(bytes.ToValidUTF8(bytes.TrimSpace(b), nil))
}
