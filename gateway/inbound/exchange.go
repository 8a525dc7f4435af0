package inbound

import (
	"math/rand/v2"
	"time"

	"github.com/inngest-gateway/inngest-gateway/budget"
	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// An exchange is one request and its answer. Exchanges are reused: nothing in
// one outlives [exchange.finish].
type exchange struct {
	server  *Server
	conn    *conn
	head    head
	refused *refusal // why the gateway answers itself
	blank   int      // empty lines before the head

	route   *route
	kind    kind
	signed  bool // its signature was verified
	query   query
	call    call.Call
	target  []byte
	block   *block        // holds the head where the body is read into another one
	body    budget.Buffer // holds the body where it did not arrive with the head
	state   budget.Buffer // holds the body instead where that was hydrated
	answer  *call.Answer
	held    budget.Buffer // holds the answer where it was read to its end or inflated
	packed  budget.Buffer // holds it compressed
	stream  stream
	counted bool         // in the route's gauge of requests in flight
	reseal  func() error // seals the call again; bound once: made anew for each call it would allocate

	received, read, verified, answered, handed time.Time // ends of the phases
}

// A kind is what a request is.
type kind uint8

const (
	kindOther kind = iota // not known, or not taken
	kindCall
	kindProbe
	kindSync
	kindIntrospection
	kindDurable
	kinds
)

func (k kind) String() string {
	return [kinds]string{"other", "call", "probe", "sync", "introspection", "durable"}[k]
}

// waits tells whether a run waits for the answer.
func (k kind) waits() bool { return k == kindCall || k == kindDurable }

// newExchange returns an exchange for the next request of c.
func (s *Server) newExchange(c *conn) *exchange {
	x, ok := s.exchanges.Get().(*exchange)
	if !ok {
		x = &exchange{}
		x.reseal = x.sealAgain
	}
	x.server, x.conn = s, c
	return x
}

// finish releases what the exchange holds, and counts and logs it. writeErr is
// why the answer did not get through.
func (x *exchange) finish(writeErr error) {
	if !x.handed.IsZero() {
		x.account(writeErr)
	}
	if x.answer != nil {
		x.answer.Settled = writeErr == nil
		x.answer.Release()
	}
	x.body.Free()
	x.state.Free()
	x.held.Free()
	x.packed.Free()
	if x.block != nil {
		x.server.blocks.give(x.block)
	}
	x.head.reset()
	*x = exchange{head: x.head, target: x.target[:0], reseal: x.reseal}
}

// badAnswer is the refusal of an answer that must not reach Inngest; what
// follows "The app <id>".
func (x *exchange) badAnswer(code inngest.Code, a *call.Answer, what string) *refusal {
	return &refusal{
		code: code, retry: true, end: a.Endpoint,
		detail: "The app " + x.route.App + " " + what + ".",
	}
}

// retryAfter returns when Inngest is to call again. A refusal may know when that
// makes sense; else the attempts that are left are spread.
func (x *exchange) retryAfter(r *refusal) time.Duration {
	if r.code == inngest.CodeDraining {
		return drainRetryAfter
	}
	if r.after > 0 {
		return min(max(r.after.Round(time.Second), time.Second), inngest.MaxRetryAfter)
	}
	budget := inngest.MaxRetryAfter
	if x.route != nil {
		budget = x.route.OutageBudget
	}
	id := &x.call.Identity
	return retryAfter(id.Attempt, id.MaxAttempts, budget, rand.Float64)
}
