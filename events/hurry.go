package events

import "context"

// hurry is when Inngest is waited for no longer.
type hurry struct {
	begun context.Context
	begin context.CancelFunc
}

func newHurry() hurry {
	var h hurry
	// It begins when the plane is told, not with the end of a request.
	h.begun, h.begin = context.WithCancel(context.Background())
	return h
}

// over tells whether the hurry has begun.
func (h hurry) over() bool { return h.begun.Err() != nil }

// within is a context that ends with the hurry, too.
func (h hurry) within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(h.begun, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

// Hurry has ModeHybrid wait for Inngest no longer: what is on its way, and all
// that comes, goes to the spool. It is for the end of the process, so that the
// callers of a slow Inngest get their answers before they are cut. Other modes
// have nothing to hurry with.
func (p *Plane) Hurry() { p.hurry.begin() }
