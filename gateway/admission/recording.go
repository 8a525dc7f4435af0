package admission

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/inngest-gateway/inngest-gateway/budget"
	"github.com/inngest-gateway/inngest-gateway/call"
)

// pumpSize is read at once for those who joined when the leader's caller is gone.
const pumpSize = 32 << 10

// maxRecorded bounds what is kept of all answers of an app that are arriving.
const maxRecorded = 32 << 20

var errLost = errors.New("the answer grew too large to be shared, and this caller was too slow for it")

// A recording is an answer that is still arriving. What has arrived is kept, so
// that duplicates that come meanwhile get all of it. Whoever reads further than
// the others reads from the app.
//
// The source belongs to who holds the token in pull: a reader for one Read, or
// the leader, whose call the app has, when its own caller is gone (pump). Every
// reader gives the token back before it closes. So the last one that closes has
// the source to itself, and it alone releases inner.
type recording struct {
	room   *Room
	inner  *call.Answer
	source io.Reader
	fn     *function // has a place at the app; nil when that is given back. With room.mu held
	epoch  uint64
	flight *flight // nil: nobody can join. With room.mu held

	pull chan struct{} // holds one token

	mu      sync.Mutex
	kept    budget.Buffer // what arrived, where keeps
	keeps   bool          // all that arrived is in kept; once false it stays so, and nobody can join
	arrived int64         // bytes in all
	end     error         // how the answer ended, after which the source is read no more; nil: not yet
	readers int           // that have not closed, the leader included; 0 is for good
	pumping bool          // the leader reads for the others alone
}

// stream makes a recording of an answer that is still arriving. The call keeps
// its place at the app until it has.
func (r *Room) stream(c *call.Call, v *visit, a *call.Answer) *call.Answer {
	rec := &recording{
		room: r, inner: a, source: a.Stream, fn: v.fn, epoch: v.epoch, flight: v.flight,
		kept: r.opt.Budget.Request(max(r.opt.Guard.MaxAnswer, 1)), keeps: v.flight != nil, readers: 1,
		pull: make(chan struct{}, 1),
	}
	rec.give()
	v.running, v.flight = false, nil
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := rec.flight; f != nil {
		f.stream = rec
		f.target = slices.Clone(c.Target)
		for _, j := range f.joined {
			o := outcome{answer: rec.answerFor(rec.attach())}
			j.ready <- o
		}
		f.joined = nil
	}
	return rec.answerFor(&reader{rec: rec, leads: true})
}

func (rec *recording) give() { rec.pull <- struct{}{} }

// attach lets one more read the answer from its beginning, nil if that is gone.
func (rec *recording) attach() *reader {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if !rec.keeps || rec.readers == 0 || rec.end != nil && rec.end != io.EOF {
		return nil
	}
	rec.readers++
	return &reader{rec: rec}
}

// answerFor returns the answer for one reader.
func (rec *recording) answerFor(from *reader) *call.Answer {
	a := *rec.inner
	a.Fields = slices.Clone(rec.inner.Fields)
	a.Stream, a.Settled, a.Free = from, false, nil
	return &a
}

// A reader is one caller's view of a recording.
type reader struct {
	rec    *recording
	at     int64
	leads  bool // its call is the one that the app has, which must last until the app is done with it
	closed bool
}

// Read returns what has arrived and this reader has not seen, or waits for more.
func (d *reader) Read(p []byte) (int, error) {
	rec := d.rec
	if n, ok, err := d.seen(p); ok {
		return n, err
	}
	<-rec.pull
	defer rec.give()
	if n, ok, err := d.seen(p); ok { // arrived while this one waited for its turn
		return n, err
	}
	n, err := rec.source.Read(p)
	rec.came(p[:n], err)
	d.at += int64(n)
	return n, err
}

// seen returns what is there already.
func (d *reader) seen(p []byte) (n int, ok bool, err error) {
	rec := d.rec
	rec.mu.Lock()
	defer rec.mu.Unlock()
	switch behind := rec.arrived - d.at; {
	case behind == 0:
		return 0, rec.end != nil, rec.end
	case !rec.keeps:
		return 0, true, errLost
	default:
		n = copy(p, rec.kept.Bytes()[int64(rec.kept.Len())-behind:])
		d.at += int64(n)
		return n, true, nil
	}
}

// unwilling is a context in which nothing waits for memory: an answer must not
// stand still because somebody might want to share it.
func unwilling() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// came keeps what was read from the app.
func (rec *recording) came(p []byte, err error) {
	rec.mu.Lock()
	rec.arrived += int64(len(p))
	dropped := false
	if rec.keeps && len(p) > 0 && !rec.keep(p) {
		rec.keeps, dropped = false, true
		rec.drop()
	}
	if err != nil {
		rec.end = err
	}
	rec.mu.Unlock()
	if err != nil || dropped {
		rec.leave(err != nil)
	}
}

// keep adds to what is kept, with rec.mu held. It tells whether there was room.
func (rec *recording) keep(p []byte) bool {
	if rec.room.recorded.Load()+int64(len(p)) > maxRecorded || rec.kept.Write(unwilling(), p) != nil {
		return false
	}
	rec.room.recorded.Add(int64(len(p)))
	return true
}

// drop forgets what is kept.
func (rec *recording) drop() {
	rec.room.recorded.Add(-int64(rec.kept.Len()))
	rec.kept.Free()
}

// leave tells the room that nobody can join any more, and that the app is done
// with the call.
func (rec *recording) leave(done bool) {
	r := rec.room
	r.mu.Lock()
	defer r.mu.Unlock()
	if rec.flight != nil {
		r.guard.remove(rec.flight)
		rec.flight = nil
	}
	if done && rec.fn != nil {
		r.finish(rec.fn, rec.epoch)
		rec.fn = nil
	}
}

// Close ends one caller's reading. While others read on, the leader stays: what
// it sent belongs to it and may still be on its way to the app.
func (d *reader) Close() error {
	if d.closed {
		return nil
	}
	d.closed = true
	rec := d.rec
	if d.leads {
		rec.pump()
	}
	rec.mu.Lock()
	rec.readers--
	last := rec.readers == 0
	ended := rec.end != nil
	unwanted := rec.pumping && rec.readers == 1 && !ended
	if last || unwanted {
		rec.keeps = false
	}
	if last {
		rec.end = cmp.Or(rec.end, io.ErrClosedPipe)
	}
	rec.mu.Unlock()
	if unwanted {
		rec.abort()
	}
	if !last {
		return nil
	}
	rec.inner.Release() // gives up what was not read
	rec.drop()
	if !ended {
		rec.leave(true)
	}
	return nil
}

// pump reads on for the others, as long as there are any.
func (rec *recording) pump() {
	if rec.alone() {
		return
	}
	p := make([]byte, pumpSize)
	for !rec.alone() {
		<-rec.pull
		if !rec.alone() { // as it was before this one waited for its turn
			n, err := rec.source.Read(p)
			rec.came(p[:n], err)
		}
		rec.give()
	}
}

// alone tells whether nobody needs the leader any more. Then nobody can join.
func (rec *recording) alone() bool {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if rec.end == nil && rec.readers > 1 {
		rec.pumping = true
		return false
	}
	if rec.end == nil {
		rec.keeps = false
	}
	return true
}

// abort ends the Read that the leader waits in for nobody.
func (rec *recording) abort() {
	if source, ok := rec.source.(interface{ Abort() }); ok {
		source.Abort()
	}
}
