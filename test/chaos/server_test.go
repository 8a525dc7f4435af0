package chaos

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/devserver"
	"github.com/inngest-gateway/inngest-gateway/signature"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

// A server is Inngest: a development server in the test's process, at an
// address that it leaves and comes back to.
type server struct {
	*devserver.Server
	tb          testing.TB
	address     string
	certificate *tls.Certificate // nil: it speaks no TLS
	greeted     atomic.Int64     // handshakes that somebody began
	http        *http.Server
	served      chan struct{}
}

// newServer makes a server that runs, and listens at its address until
// [server.goAway].
func newServer(tb testing.TB) *server {
	tb.Helper()
	s := &server{tb: tb, address: freeAddress(tb)}
	var err error
	s.Server, err = devserver.New(devserver.Options{
		SigningKey: recorded.SigningKey,
		EventKeys:  []string{recorded.EventKey},
		Backoff:    func(int) time.Duration { return 200 * time.Millisecond },
		Keep:       50_000,
	})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-ran; err != nil {
			tb.Errorf("devserver: %v", err)
		}
	})
	s.comeBack()
	tb.Cleanup(s.goAway)
	return s
}

func (s *server) url() string {
	if s.certificate != nil {
		return "https://" + s.address
	}
	return "http://" + s.address
}

// goAway closes the listener and every connection.
func (s *server) goAway() {
	if s.http == nil {
		return
	}
	s.http.Close()
	<-s.served
	s.http = nil
}

// comeBack listens again.
func (s *server) comeBack() {
	s.tb.Helper()
	// A process that ends or becomes another program has a copy of the listener
	// that was here before, for a moment.
	var ln net.Listener
	until(s.tb, "a listener at "+s.address, func() (ok bool) {
		var err error
		ln, err = net.Listen("tcp", s.address)
		return err == nil
	})
	if s.certificate != nil {
		ln = tls.NewListener(ln, &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			s.greeted.Add(1)
			return s.certificate, nil
		}})
	}
	s.http = &http.Server{Handler: s.Handler(), ReadHeaderTimeout: time.Minute}
	s.served = make(chan struct{})
	go func(h *http.Server, served chan struct{}) {
		if err := h.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			s.tb.Errorf("devserver: %v", err)
		}
		close(served)
	}(s.http, s.served)
}

// register tells the server of an app with one function, called work, at that
// URL, and which events start it.
func (s *server) register(app, event, url string) {
	s.tb.Helper()
	key, err := signature.ParseKey(recorded.SigningKey)
	if err != nil {
		s.tb.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, s.url()+"/fn/register", strings.NewReader(registration(app, event, url)))
	if err != nil {
		s.tb.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+signature.BearerToken(key))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.tb.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK || err != nil {
		s.tb.Fatalf("register = %d %s, %v", resp.StatusCode, text, err)
	}
}

// registration is what an app with one function registers.
func registration(app, event, url string) string {
	return fmt.Sprintf(`{"url":%q,"deployType":"ping","framework":"express","appName":%q,"sdk":"js:v4.24.0","v":"0.1",
		"functions":[{"id":"%s-work","name":"work","triggers":[{"event":%q}],"steps":{"step":{"id":"step","name":"step",
		"runtime":{"type":"http","url":"%s?fnId=%s-work&stepId=step"},"retries":{"attempts":15}}}}]}`, url, app, app, event, url, app)
}

// begin starts n runs of an app's function.
func (s *server) begin(app string, n int) {
	s.tb.Helper()
	for i := range n {
		if _, err := s.SendEvent(context.Background(), "t/"+app, map[string]int{"n": i}); err != nil {
			s.tb.Fatal(err)
		}
	}
}

// ended waits until so many runs that events started have ended.
func (s *server) ended(n int) {
	s.tb.Helper()
	if err := s.WaitEvents(bounded(s.tb), func(t devserver.EventTotals) bool { return t.Ended >= n }); err != nil {
		s.tb.Fatalf("%d runs that ended: %v; there are %+v", n, err, s.EventTotals())
	}
}

// keepBusy starts runs of an app's function, so many at a time and the next when
// they have ended, until the returned function is called. That waits for the
// last of them and tells how many there were.
func keepBusy(tb testing.TB, s *server, app string, atOnce int) (stop func() int) {
	tb.Helper()
	over, begun, failed := make(chan struct{}), make(chan int, 1), make(chan error, 1)
	ctx := bounded(tb)
	go func() {
		n := 0
		defer func() { begun <- n }()
		for {
			select {
			case <-over:
				return
			default:
			}
			for range atOnce {
				if _, err := s.SendEvent(ctx, "t/"+app, nil); err != nil {
					failed <- err
					return
				}
				n++
			}
			if err := s.WaitEvents(ctx, func(t devserver.EventTotals) bool { return t.Ended >= n }); err != nil {
				failed <- fmt.Errorf("%d runs that ended: %w; there are %+v", n, err, s.EventTotals())
				return
			}
		}
	}()
	return func() int {
		tb.Helper()
		close(over)
		n := <-begun
		select {
		case err := <-failed:
			tb.Fatal(err)
		default:
		}
		return n
	}
}

// A tally sums up runs.
type tally struct {
	Completed, Other int // runs
	Burned           int // attempts that failed
	Failures         map[string]int
}

// tally sums up the runs of one app's function.
func (s *server) tally(app string) tally {
	t := tally{Failures: map[string]int{}}
	for _, r := range s.Runs() {
		if r.App != app {
			continue
		}
		if r.Status == devserver.Completed {
			t.Completed++
		} else {
			t.Other++
		}
		for _, c := range r.Calls {
			if c.Error != "" {
				t.Burned++
				t.Failures[fmt.Sprintf("%d %.60s", c.Status, c.Error)]++
			}
		}
	}
	return t
}
