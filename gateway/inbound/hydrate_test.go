package inbound

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/inngest-gateway/inngest-gateway/budget"
	"github.com/inngest-gateway/inngest-gateway/call"
)

// hydratorDouble writes a call, or fails.
type hydratorDouble struct {
	writes string
	err    error
	asked  int
}

func (d *hydratorDouble) Hydrate(ctx context.Context, _ []byte, into *budget.Buffer) error {
	d.asked++
	if d.err != nil || d.writes == "" {
		return d.err
	}
	return into.Write(ctx, []byte(d.writes))
}

// largeCall is a call that carries no state.
func largeCall(run string) string {
	return strings.ReplaceAll(callBody(run), `"use_api":false`, `"use_api":true`)
}

func TestCall_getsStateThatItWasTooLargeFor(t *testing.T) {
	whole := strings.Replace(callBody("run1"), `"steps":{}`, `"steps":{"a":{"data":"`+strings.Repeat("x", 100<<10)+`"}}`, 1)
	for name, c := range map[string]struct {
		call   string
		writes string
		asked  int
		body   string
		signed string
	}{
		"too large":        {largeCall("run1"), whole, 1, whole, "changed"},
		"nothing missing":  {largeCall("run1"), "", 1, largeCall("run1"), "sealed"},
		"carries its own":  {callBody("run1"), whole, 0, callBody("run1"), "sealed"},
		"no call at all":   {"{}", whole, 0, "{}", "sealed"},
		"larger than once": {largeCall("run1") + strings.Repeat(" ", 20<<10), whole, 1, whole, "changed"},
	} {
		t.Run(name, func(t *testing.T) {
			d := &hydratorDouble{writes: c.writes}
			g := newGateway(t, func(s *setup) {
				s.Hydrator = d
				s.Pair = &pairDouble{
					seal:    func(c *call.Call) error { c.Signature = []byte("sealed"); return nil },
					changed: func(c *call.Call) error { c.Signature = []byte("changed"); return nil },
				}
			})
			if a := g.ask(t, signedCall(t, c.call)); a.StatusCode != 200 {
				t.Fatalf("answer = %d %s", a.StatusCode, a.text)
			}
			got := g.app.requests()[0]
			if string(got.body) != c.body || got.Header.Get("X-Inngest-Signature") != c.signed || d.asked != c.asked {
				t.Errorf("the app got %d bytes, %s, after %d questions; want %d, %s, %d",
					len(got.body), got.Header.Get("X-Inngest-Signature"), d.asked, len(c.body), c.signed, c.asked)
			}
		})
	}
}

func TestCall_isRefusedWithoutItsState(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		code string
		text []string
	}{
		"API away":  {errors.New("Inngest's API did not answer /v0"), "state_unavailable", []string{"Inngest's API did not answer /v0.", "apps[].hydrate"}},
		"too large": {fmt.Errorf("state: %w", budget.ErrTooLarge), "state_unavailable", []string{"larger than 8MiB (limits.body)", `"setting":"limits.body"`}},
		"no memory": {fmt.Errorf("state: %w", budget.ErrExhausted), "memory_exhausted", []string{"limits.memory"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, func(s *setup) { s.Hydrator = &hydratorDouble{err: c.err} })
			a := g.ask(t, signedCall(t, largeCall("run1")))
			if a.StatusCode != 503 || a.Header.Get("X-Gateway-Error") != c.code || a.Header.Get("Retry-After") == "" {
				t.Errorf("answer = %d %v", a.StatusCode, a.Header)
			}
			for _, text := range c.text {
				if !strings.Contains(a.text, text) {
					t.Errorf("the answer does not say %q: %s", text, a.text)
				}
			}
			if n := len(g.app.requests()); n != 0 {
				t.Errorf("the app got %d requests", n)
			}
		})
	}
}
