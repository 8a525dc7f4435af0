package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/inngest-gateway/inngest-gateway/events/spool"
)

// A Letter is a dead letter as the admin listener and the commands tell it.
type Letter struct {
	ID          string          `json:"id"`
	Reason      string          `json:"reason"`
	At          time.Time       `json:"at"` // when it became one
	Environment string          `json:"environment,omitempty"`
	Branch      string          `json:"branch,omitempty"`
	Events      int             `json:"events"`
	Bytes       int             `json:"bytes,omitempty"`
	Accepted    time.Time       `json:"accepted,omitzero"`
	Damaged     bool            `json:"damaged,omitempty"`
	Body        json.RawMessage `json:"body,omitempty"` // what was to be POSTed
	Raw         []byte          `json:"raw,omitempty"`  // the same where it is no JSON, in base64
}

// LetterOf returns what there is to tell of a dead letter.
func LetterOf(l spool.Letter) Letter {
	out := Letter{
		ID: l.ID, Reason: l.Reason, At: l.At, Damaged: l.Damaged,
		Environment: l.Record.Environment, Branch: l.Record.Branch, Events: l.Record.Count, Accepted: l.Record.Accepted,
		Bytes: len(l.Record.Body),
	}
	switch body := l.Record.Body; {
	case len(body) == 0:
	case utf8.Valid(body) && json.Valid(body):
		out.Body = body
	default:
		out.Raw = body
	}
	return out
}

// A LetterRequest is the body of POST /control/spool-show and of its like.
type LetterRequest struct {
	ID    string `json:"id,omitempty"`
	Limit int    `json:"limit,omitempty"` // of spool-ls
}

// maxLetters bounds one listing.
const maxLetters = 10_000

var errNoSpool = errors.New("this gateway has no spool: neither state_dir nor events.spool.url is set")

// letterControls are what the admin listener does with dead letters.
func (g *Gateway) letterControls() map[string]func(context.Context, []byte) (any, error) {
	on := func(do func(ctx context.Context, s *spool.Spool, r LetterRequest) (any, error)) func(context.Context, []byte) (any, error) {
		return func(ctx context.Context, body []byte) (any, error) {
			if g.spool == nil {
				return nil, errNoSpool
			}
			if !g.spoolOpen.Load() {
				return nil, errSpoolNotOpen
			}
			var r LetterRequest
			if len(body) > 0 {
				if err := json.Unmarshal(body, &r); err != nil {
					return nil, fmt.Errorf("body: %w", err)
				}
			}
			return do(ctx, g.spool, r)
		}
	}
	return map[string]func(context.Context, []byte) (any, error){
		"spool-ls": on(func(ctx context.Context, s *spool.Spool, r LetterRequest) (any, error) {
			if r.Limit <= 0 || r.Limit > maxLetters {
				return nil, fmt.Errorf("limit is %d, want from 1 to %d", r.Limit, maxLetters)
			}
			list, err := s.List(ctx, r.Limit)
			letters := make([]Letter, len(list))
			for i := range list {
				letters[i] = LetterOf(list[i])
			}
			return letters, err
		}),
		"spool-show": on(func(ctx context.Context, s *spool.Spool, r LetterRequest) (any, error) {
			l, err := s.Show(ctx, r.ID)
			return LetterOf(l), err
		}),
		"spool-replay": on(func(ctx context.Context, s *spool.Spool, r LetterRequest) (any, error) {
			return r, s.Replay(ctx, r.ID)
		}),
		"spool-drop": on(func(ctx context.Context, s *spool.Spool, r LetterRequest) (any, error) {
			return r, s.Drop(ctx, r.ID)
		}),
	}
}
