package devserver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// An EventPost is a request to the event API that is about to be answered.
type EventPost struct {
	N      int // its number at this server, from 1
	Key    string
	Header http.Header
	Body   []byte
}

// An Ending is how an answer ends.
type Ending int

// The endings. A reset is an RST of the connection, as from a server that was
// killed or a balancer that gave up.
const (
	Answered    Ending = iota
	ResetBefore        // reset before the first byte of the answer
	ResetWithin        // reset in the middle of the answer's body
	Silent             // nothing comes until the client hangs up
)

// All as [EventFault].Take has every event taken.
const All = -1

// An EventFault is what one POST of events meets. The zero value is no fault.
type EventFault struct {
	Delay time.Duration // of the wall clock, before anything else; nothing is taken if the client does not wait
	// Take is how many events are taken before the fault, as far as they are
	// good, as by a server that fails on its way through a list; [All] for every
	// one. Without Status and Ending all are.
	Take   int
	Status int         // answered instead of what the server has to say; 0: that
	Header http.Header // of the answer, such as Retry-After
	Body   string      // of an answer with Status; "": JSON with the status and its text
	Ending Ending
}

// FaultEvents has f say, for each POST /e/{key} from now on, which fault it
// meets; nil ends all faults. f is called by several goroutines at once, after
// the body has come and before the key is looked at.
func (s *Server) FaultEvents(f func(EventPost) EventFault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// RefuseEvents has f say of each event from now on, as it came, why the server
// finds it bad; nil ends that. It is refused as any bad event is: those before
// it in its request were taken, and the answer is a 400 with that text.
func (s *Server) RefuseEvents(f func(event json.RawMessage) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = f
}

// SetEventKeys replaces the keys that /e/{key} takes; none: any.
func (s *Server) SetEventKeys(keys ...string) {
	set := make(map[string]bool, len(keys))
	for _, k := range keys {
		set[k] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = set
}

// AlwaysFault has every POST meet the same fault.
func AlwaysFault(f EventFault) func(EventPost) EventFault {
	return func(EventPost) EventFault { return f }
}

// FaultsInTurn has the next POSTs meet these faults, one each, and those after
// them none.
func FaultsInTurn(faults ...EventFault) func(EventPost) EventFault {
	var mu sync.Mutex
	return func(EventPost) EventFault {
		mu.Lock()
		defer mu.Unlock()
		if len(faults) == 0 {
			return EventFault{}
		}
		f := faults[0]
		faults = faults[1:]
		return f
	}
}

// RandomFaults has a share of the POSTs, from 0 to 1, meet one of the faults at
// random. The same seed gives the same faults in the same order.
func RandomFaults(seed uint64, share float64, faults ...EventFault) func(EventPost) EventFault {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, seed))
	return func(EventPost) EventFault {
		mu.Lock()
		defer mu.Unlock()
		if len(faults) == 0 || random.Float64() >= share {
			return EventFault{}
		}
		return faults[random.IntN(len(faults))]
	}
}

// meetFault counts a POST of events and returns the fault that it meets. The
// body is read for the sake of the fault only, and put back.
func (s *Server) meetFault(r *http.Request) (EventFault, error) {
	s.mu.Lock()
	s.posts++
	post, f := EventPost{N: s.posts, Key: r.PathValue("key"), Header: r.Header}, s.fault
	s.notify()
	s.mu.Unlock()
	if f == nil {
		return EventFault{}, nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return EventFault{}, fmt.Errorf("read events: %w", err)
	}
	post.Body = body
	r.Body = io.NopCloser(bytes.NewReader(body))
	fault := f(post)
	if fault.Delay > 0 || fault.Status != 0 || fault.Ending != Answered {
		s.mu.Lock()
		s.faults++
		s.notify()
		s.mu.Unlock()
	}
	return fault, nil
}

// serveFault answers a POST that meets a fault.
func (s *Server) serveFault(w http.ResponseWriter, r *http.Request, f EventFault) {
	if f.Delay > 0 {
		t := time.NewTimer(f.Delay)
		defer t.Stop()
		select {
		case <-t.C:
		case <-r.Context().Done():
			return
		}
	}
	take := f.Take
	if f.Status == 0 && f.Ending == Answered {
		take = All
	}
	var a eventAnswer
	if take != 0 {
		a = s.postEvents(r, take)
	} else {
		a = listAnswer(nil, nil)
	}
	if f.Status != 0 {
		a = faultAnswer(f)
	}
	for name, values := range f.Header {
		w.Header()[http.CanonicalHeaderKey(name)] = values
	}
	switch f.Ending {
	case Answered:
		a.write(w)
	case Silent:
		<-r.Context().Done()
	case ResetBefore:
		reset(w, nil)
	case ResetWithin:
		reset(w, a.half(w.Header()))
	}
}

// faultAnswer is the answer with a status that a fault asks for.
func faultAnswer(f EventFault) eventAnswer {
	if f.Body != "" {
		return eventAnswer{f.Status, "text/plain; charset=utf-8", []byte(f.Body)}
	}
	return errorAnswer(f.Status, http.StatusText(f.Status))
}

// half is the head of the answer with half of its body.
func (a eventAnswer) half(h http.Header) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "HTTP/1.1 %d %s\r\n", a.status, http.StatusText(a.status))
	h = h.Clone()
	h.Set("Content-Type", a.contentType)
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
	h.Write(&out) // a buffer takes everything
	out.WriteString("\r\n")
	out.Write(a.body[:len(a.body)/2])
	return out.Bytes()
}

// reset writes what is given and ends the connection with a reset.
func reset(w http.ResponseWriter, first []byte) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2: net/http resets the stream
	}
	defer conn.Close()
	if _, err := conn.Write(first); err != nil {
		return // the client is gone
	}
	if c, ok := conn.(*net.TCPConn); ok {
		c.SetLinger(0) // without it the connection ends in order
	}
}
