// Package faultyapp is an app for tests that answers wrongly, in every way that
// an app or what stands before it is known to. It leaves it to the tests of
// each package to say what must come of it.
//
// An answer that is the app's own to a request has [Own] of the request's body
// as its body. Everything else that it sends and that could be taken for an
// answer contains [Poison].
package faultyapp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Poison stands in everything that no request should get as its answer.
const Poison = "POISON"

// Own returns the body of the app's own answer to a request with that body.
func Own(body string) string { return "answer to " + body }

// FaultHeader names the fault of one request, whatever the app's own is.
const FaultHeader = "X-Fault"

// An App listens until the test ends.
type App struct {
	tb       testing.TB
	listener net.Listener
	idle     time.Duration // 0: connections stay open
	announce string        // header lines of good answers
	fault    atomic.Pointer[Fault]
	accepted atomic.Int64
	requests atomic.Int64

	mu    sync.Mutex
	conns map[net.Conn]bool
	over  chan struct{} // closed when the app stops
	done  sync.WaitGroup
}

// Options says what a healthy app does.
type Options struct {
	Listener net.Listener  // nil: a port of its own on loopback
	Idle     time.Duration // closes a connection this long after its last answer, as Node does after 5 s; 0: never
	Announce string        // header lines to add to answers, each with CRLF
}

// Start starts an app that makes no faults yet.
func Start(tb testing.TB, o Options) *App {
	tb.Helper()
	if o.Listener == nil {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			tb.Fatal(err)
		}
		o.Listener = l
	}
	a := &App{
		tb: tb, listener: o.Listener, idle: o.Idle, announce: o.Announce,
		conns: map[net.Conn]bool{}, over: make(chan struct{}),
	}
	a.Make(None)
	a.done.Go(a.accept)
	tb.Cleanup(a.Stop)
	return a
}

// Make makes f the fault of every request from now on that names none.
func (a *App) Make(f Fault) { a.fault.Store(&f) }

// URL is where the app listens.
func (a *App) URL() string { return "http://" + a.listener.Addr().String() }

// Addr is where the app listens.
func (a *App) Addr() string { return a.listener.Addr().String() }

// Accepted is the number of connections so far.
func (a *App) Accepted() int { return int(a.accepted.Load()) }

// Requests is the number of requests whose head came so far.
func (a *App) Requests() int { return int(a.requests.Load()) }

// Open is the number of connections that are open now.
func (a *App) Open() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.conns)
}

// Stop closes the listener and every connection, as the end of a process does.
func (a *App) Stop() {
	a.mu.Lock()
	select {
	case <-a.over:
	default:
		close(a.over)
		a.listener.Close()
	}
	for c := range a.conns {
		c.Close()
	}
	a.mu.Unlock()
	a.done.Wait()
}

func (a *App) accept() {
	for {
		c, err := a.listener.Accept()
		if err != nil {
			return
		}
		a.accepted.Add(1)
		a.mu.Lock()
		select {
		case <-a.over:
			a.mu.Unlock()
			c.Close()
			return
		default:
		}
		a.conns[c] = true
		a.done.Go(func() { a.serve(c) })
		a.mu.Unlock()
	}
}

func (a *App) serve(c net.Conn) {
	defer func() {
		c.Close()
		a.mu.Lock()
		delete(a.conns, c)
		a.mu.Unlock()
	}()
	in := bufio.NewReader(c)
	for n := 1; ; n++ {
		if a.idle > 0 && n > 1 {
			c.SetReadDeadline(time.Now().Add(a.idle))
		}
		if _, err := in.Peek(1); err != nil {
			return
		}
		c.SetReadDeadline(time.Time{})
		request, err := http.ReadRequest(in)
		if err != nil {
			if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, net.ErrClosed) {
				fmt.Fprint(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			}
			return
		}
		a.requests.Add(1)
		if !a.answer(&Exchange{Conn: c, In: in, Request: request, N: n, app: a}) {
			return
		}
	}
}

// answer makes the fault that the request asks for, or that of the app.
func (a *App) answer(x *Exchange) (goOn bool) {
	fault := *a.fault.Load()
	if name := x.Request.Header.Get(FaultHeader); name != "" {
		fault = Named(name)
	}
	if !fault.BeforeBody {
		body, err := io.ReadAll(x.Request.Body)
		if err != nil {
			return false
		}
		x.Body = string(body)
	}
	return fault.Serve(x) && !x.Request.Close
}
