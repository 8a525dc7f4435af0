package inbound

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/inngest-gateway/inngest-gateway/budget"
	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// judge decides whether an answer may reach Inngest, and brings it into the
// form that Inngest understands: no foreign redirect, no coding but gzip or br,
// never an empty list of steps, signed where the mode signs.
func (s *Server) judge(ctx context.Context, x *exchange, a *call.Answer) *refusal {
	if a.Code != "" {
		return nil // made by the gateway itself
	}
	if a.Endpoint != "" {
		a.Del(inngest.HeaderGatewayError) // says that the gateway made an answer, as it does of hosted functions
	}
	if a.Status < 200 || a.Status > 599 {
		return x.badAnswer(inngest.CodeUpstreamBadAnswer, a, fmt.Sprintf("answered with status %d, which ends no call", a.Status))
	}
	if a.Status >= 400 && !a.FromSDK() {
		return x.unready(a)
	}
	if r := x.checkRedirect(a); r != nil {
		return r
	}
	if r := s.undoCoding(ctx, x, a); r != nil {
		return r
	}
	if a.Status == 206 && a.Stream == nil && x.emptyList(a) {
		return x.badAnswer(inngest.CodeUpstreamEmpty, a,
			"answered 206 with an empty list of steps; Inngest would call again at once, without end")
	}
	pair := x.route.Pair
	if err := pair.OpenAnswer(a); err != nil {
		return x.failed(ctx, err)
	}
	if err := pair.SealAnswer(a); err != nil {
		return x.failed(ctx, err)
	}
	s.compress(ctx, x, a)
	return nil
}

// unready is the refusal of an error that no SDK sent: what stands between
// gateway and app made it, or another program listens there.
func (x *exchange) unready(a *call.Answer) *refusal {
	path, _, _ := bytes.Cut(x.target, []byte("?"))
	return x.badAnswer(inngest.CodeUpstreamUnready, a,
		fmt.Sprintf("answered %d at %s, and it was no Inngest SDK that answered (no X-Inngest-Sdk header)", a.Status, path))
}

// hold reads a streamed answer to its end.
func (x *exchange) hold(ctx context.Context, a *call.Answer) *refusal {
	if a.Stream == nil {
		return nil
	}
	limit := x.server.opts.MaxAnswer
	held := x.server.opts.Budget.Answer(int(limit))
	_, err := held.ReadFrom(ctx, a.Stream, -1)
	a.Stream.Close()
	a.Stream = nil
	if err != nil {
		held.Free()
		return x.notHeld(a, err)
	}
	x.held.Free()
	x.held = held
	a.Body = held.Bytes()
	return nil
}

// notHeld is the refusal of an answer that could not be held whole.
func (x *exchange) notHeld(a *call.Answer, err error) *refusal {
	var r *refusal
	switch limits := &x.server.opts; {
	case errors.Is(err, budget.ErrTooLarge):
		r = x.badAnswer(inngest.CodeUpstreamTooLarge, a,
			fmt.Sprintf("gave an answer over the limit of %s (limits.answer)", size(limits.MaxAnswer)))
		r.limit, r.setting = size(limits.MaxAnswer), "limits.answer"
	case errors.Is(err, errDrained):
		r = draining(err)
	case errors.Is(err, budget.ErrExhausted):
		r = memoryExhausted(limits.Budget.Max(), err)
	default:
		r = x.badAnswer(inngest.CodeUpstreamReset, a, "broke its answer off")
	}
	r.cause = err
	return r
}

// emptyList tells whether the body of a 206 is a list without elements, perhaps
// compressed.
func (x *exchange) emptyList(a *call.Answer) bool {
	var from io.Reader = bytes.NewReader(a.Body)
	if coding := a.Get("Content-Encoding"); coding != nil {
		decoder, err := decoderFor(string(bytes.ToLower(coding)), from)
		if err != nil {
			return false
		}
		defer decoder.Close()
		from = decoder
	}
	const list = "[]"
	from = io.LimitReader(from, x.server.opts.MaxAnswer)
	found := 0
	var buf [512]byte
	for {
		n, err := from.Read(buf[:])
		for _, c := range buf[:n] {
			switch {
			case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			case found < len(list) && c == list[found]:
				found++
			default:
				return false
			}
		}
		if err != nil {
			return found == len(list) && err == io.EOF
		}
	}
}
