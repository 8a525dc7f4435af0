package admission

import (
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/inngest-gateway/inngest-gateway/call"
)

// slowBody is an answer that arrives in pieces, one a second.
type slowBody struct {
	mu     sync.Mutex
	pieces []string
	end    error
	closed bool
}

func (b *slowBody) Read(p []byte) (int, error) {
	time.Sleep(time.Second)
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.pieces) == 0 {
		return 0, b.end
	}
	n := copy(p, b.pieces[0])
	if b.pieces[0] = b.pieces[0][n:]; b.pieces[0] == "" {
		b.pieces = b.pieces[1:]
	}
	return n, nil
}

func (b *slowBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return nil
}

// streams answers with a body that arrives in so many pieces of ten bytes.
func streams(n int, end error) (*fakeApp, *slowBody) {
	body := &slowBody{end: end}
	for range n {
		body.pieces = append(body.pieces, "0123456789")
	}
	return &fakeApp{step: func(*call.Call) (*call.Answer, error) {
		a := answer("")
		a.Status, a.Body, a.Stream, a.Length = 201, nil, body, -1
		return a, nil
	}}, body
}

func readAll(t *testing.T, got result) string {
	t.Helper()
	wantAnswer(t, got)
	b, err := io.ReadAll(got.answer.Stream)
	if err != nil {
		t.Errorf("read: %v", err)
	}
	got.answer.Release()
	return string(b)
}

func TestRecording_givesDuplicatesAllOfAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, body := streams(10, io.EOF)
		r := newRoom(t, options(t, app))
		want := strings.Repeat("0123456789", 10)
		var readers sync.WaitGroup
		for i := range 5 { // one leads, the others come while it arrives
			readers.Go(func() {
				time.Sleep(time.Duration(i) * 1900 * time.Millisecond)
				if got := readAll(t, <-send(r, newCall("run"))); got != want {
					t.Errorf("reader %d got %q, want %q", i, got, want)
				}
			})
		}
		time.Sleep(500 * time.Millisecond)
		if s := r.Status(); s.Running != 1 {
			t.Errorf("%d calls run while the answer arrives, want 1", s.Running)
		}
		readers.Wait()
		if n := len(app.seen()); n != 1 || !body.closed {
			t.Errorf("the app had %d calls, want 1; its stream is closed: %v", n, body.closed)
		}
		if s := r.Status(); s.Running != 0 || flights(r) != 0 || r.opt.Budget.Used() != 0 {
			t.Errorf("left: %d running, %d flights, %d bytes", s.Running, flights(r), r.opt.Budget.Used())
		}
	})
}

// The first connection broke: the answer goes on for the one that repeats the
// call, and the first call stays until the app is done with it.
func TestRecording_goesOnForDuplicatesWhenTheFirstCallerIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, _ := streams(10, io.EOF)
		r := newRoom(t, options(t, app))
		first := <-send(r, newCall("run"))
		p := make([]byte, 10)
		if _, err := first.answer.Stream.Read(p); err != nil {
			t.Fatal(err)
		}
		second := <-send(r, newCall("run"))
		began := time.Now()
		done := make(chan time.Duration, 1)
		go func() {
			first.answer.Release()
			done <- time.Since(began)
		}()
		time.Sleep(3 * time.Second)
		if got := readAll(t, second); len(got) != 100 {
			t.Errorf("the second caller got %d bytes, want 100", len(got))
		}
		if held := <-done; held < 9*time.Second {
			t.Errorf("the first call was let go after %v, while the app still had it", held)
		}
	})
}

func TestRecording_givesUpAStreamThatNobodyWants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, body := streams(10, io.EOF)
		r := newRoom(t, options(t, app))
		got := <-send(r, newCall("run"))
		got.answer.Release()
		if s := r.Status(); s.Running != 0 || !body.closed {
			t.Errorf("%d running, stream closed: %v; want it given up", s.Running, body.closed)
		}
		wantAnswer(t, <-send(r, newCall("run"))) // not joined to what is over
		if n := len(app.seen()); n != 2 {
			t.Errorf("the app had %d calls, want 2", n)
		}
	})
}

func TestRecording_endsForAllAsTheSourceDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("reset")
		app, _ := streams(3, broken)
		r := newRoom(t, options(t, app))
		first, second := send(r, newCall("run")), send(r, newCall("run"))
		for _, one := range []<-chan result{first, second} {
			got := <-one
			b, err := io.ReadAll(got.answer.Stream)
			if len(b) != 30 || err != broken {
				t.Errorf("read %d bytes, %v; want 30 and the reset", len(b), err)
			}
			got.answer.Release()
		}
	})
}

func TestRecording_sharesNoMoreThanItMay(t *testing.T) {
	for name, limit := range map[string]func(*Room){
		"of one answer": func(r *Room) { r.opt.Guard.MaxAnswer = 45 },
		"of all":        func(r *Room) { r.recorded.Store(maxRecorded - 45) },
	} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { sharesNoMore(t, limit) }) })
	}
}

func sharesNoMore(t *testing.T, limit func(*Room)) {
	app, _ := streams(10, io.EOF)
	r := newRoom(t, options(t, app))
	limit(r)
	first := <-send(r, newCall("run"))
	second := <-send(r, newCall("run")) // and reads nothing
	if got := readAll(t, first); len(got) != 100 {
		t.Errorf("the first caller got %d bytes, want 100", len(got))
	}
	if _, err := io.ReadAll(second.answer.Stream); !errors.Is(err, errLost) {
		t.Errorf("the second caller's read = %v, want that it was too slow", err)
	}
	second.answer.Release()
}

// silentBody is an answer of which no more arrives.
type silentBody struct {
	aborted chan struct{} // its end, once it is aborted
	aborts  atomic.Int32
	closed  bool
}

func (b *silentBody) Read([]byte) (int, error) {
	<-b.aborted
	return 0, io.ErrUnexpectedEOF
}

func (b *silentBody) Abort() { b.aborts.Add(1) }

func (b *silentBody) Close() error {
	b.closed = true
	return nil
}

func TestRecording_isGivenUpWhenTheLastFollowerLeavesTooAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := &silentBody{aborted: make(chan struct{})}
		app := &fakeApp{step: func(*call.Call) (*call.Answer, error) {
			a := answer("")
			a.Status, a.Body, a.Stream, a.Length = 201, nil, body, -1
			return a, nil
		}}
		r := newRoom(t, options(t, app))
		first := <-send(r, newCall("run"))
		second, third := <-send(r, newCall("run")), <-send(r, newCall("run"))
		left := make(chan struct{})
		go func() {
			first.answer.Release()
			close(left)
		}()
		synctest.Wait()
		second.answer.Release()
		synctest.Wait()
		if s := r.Status(); s.Running != 1 || body.closed {
			t.Errorf("%d calls run with one caller left, closed: %v; want one, open", s.Running, body.closed)
		}
		third.answer.Release()
		synctest.Wait()
		if n := body.aborts.Load(); n != 1 {
			t.Errorf("the stream was aborted %d times, want once", n)
		}
		app.set(func(a *fakeApp) { a.step = nil })
		wantAnswer(t, <-send(r, newCall("run"))) // not joined to what ends just now
		close(body.aborted)
		synctest.Wait()
		if s := r.Status(); s.Running != 0 || !body.closed || flights(r) != 0 || r.opt.Budget.Used() != 0 {
			t.Errorf("%d calls run, stream closed: %v, %d flights, %d bytes; want all given up at once", s.Running, body.closed, flights(r), r.opt.Budget.Used())
		}
		<-left
	})
}

// Between the break and the moment in which the room knows, a duplicate must not
// join: it would get what has arrived and then the end of the one before it.
func TestRecording_takesNobodyAfterItBroke(t *testing.T) {
	for name, c := range map[string]struct {
		rec   *recording
		joins bool
	}{
		"arriving":       {&recording{keeps: true, readers: 1}, true},
		"whole":          {&recording{keeps: true, readers: 1, end: io.EOF}, true},
		"broken":         {&recording{keeps: true, readers: 1, end: io.ErrUnexpectedEOF}, false},
		"not kept whole": {&recording{readers: 1}, false},
		"closed by all":  {&recording{keeps: true}, false},
	} {
		if joined := c.rec.attach() != nil; joined != c.joins {
			t.Errorf("%s: a duplicate joins: %v, want %v", name, joined, c.joins)
		}
	}
	left := &recording{keeps: true, readers: 1}
	if !left.alone() || left.attach() != nil {
		t.Error("a duplicate joins a leader that is about to leave")
	}
}
