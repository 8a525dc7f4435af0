package inbound

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/call"
)

func TestBody_ofAnySizeInAnyPieces(t *testing.T) {
	g := newGateway(t, nil)
	for _, size := range []int{0, 1, 3000, 4096, 5000, 16 << 10, 70_000, 1 << 20, 8 << 20} {
		body := strings.Repeat("a", size)
		for _, piece := range []int{1 << 30, 4096, 1000, 100_000} {
			if size/piece > 2000 {
				continue
			}
			for name, raw := range map[string]string{
				"length": message("POST /api/inngest HTTP/1.1", body, "X-Inngest-Signature: "+sign(t, body)),
				"chunks": "POST /api/inngest HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: chunked\r\nX-Inngest-Signature: " + sign(t, body) + "\r\n\r\n" + inChunks(body, piece),
			} {
				c := dial(t, g.addr)
				for rest := raw; len(rest) > 0; {
					n := min(len(rest), piece)
					c.send(rest[:n])
					rest = rest[n:]
				}
				if r := c.reply("POST"); r.StatusCode != 200 {
					t.Fatalf("%d bytes, %s, pieces of %d: answer = %d %q", size, name, piece, r.StatusCode, r.text)
				}
				c.send(signedCall(t, callBody("run1"))) // nothing of the body is left
				if r := c.reply("POST"); r.StatusCode != 200 {
					t.Fatalf("%d bytes, %s, pieces of %d: next answer = %d %q", size, name, piece, r.StatusCode, r.text)
				}
				c.Close()
			}
		}
	}
	for _, s := range g.app.requests() {
		if strings.Trim(string(s.body), "a") != "" && s.identity == "" {
			t.Fatalf("the app saw a body of other bytes")
		}
	}
}

func inChunks(body string, size int) string {
	var b strings.Builder
	for len(body) > 0 {
		n := min(len(body), size)
		fmt.Fprintf(&b, "%X\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return b.String() + "0\r\n\r\n"
}

func TestBody_expectContinueIsAnsweredOnceTheHeadIsGood(t *testing.T) {
	g := newGateway(t, nil)
	body := callBody("run1")
	raw := message("POST /api/inngest HTTP/1.1", body, "Expect: 100-continue", "X-Inngest-Signature: "+sign(t, body))
	head, _, _ := strings.Cut(raw, "\r\n\r\n")
	c := dial(t, g.addr)
	c.send(head + "\r\n\r\n")
	line, err := c.in.ReadString('\n')
	if err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("read %q, %v", line, err)
	}
	c.in.ReadString('\n')
	c.send(body)
	if r := c.reply("POST"); r.StatusCode != 200 {
		t.Errorf("answer = %d %q", r.StatusCode, r.text)
	}
	c.send(raw) // the body comes along: no 100
	if r := c.reply("POST"); r.StatusCode != 200 {
		t.Errorf("answer = %d %q", r.StatusCode, r.text)
	}
}

func TestBody_waitsForMemoryThenRefuses(t *testing.T) {
	g := newGateway(t, func(s *setup) {
		s.memory, s.memoryWait, s.tick, s.bodyWindow = 1<<20, 100*time.Millisecond, 5*time.Millisecond, 20*time.Millisecond
	})
	if err := g.budget.AcquireAnswer(t.Context(), 1<<20); err != nil {
		t.Fatal(err)
	}
	body := callBody("run1") + strings.Repeat(" ", 64<<10)
	r := g.ask(t, signedCall(t, body))
	p := problemOf(t, r)
	if r.StatusCode != 503 || p.Code != "memory_exhausted" || p.Setting != "limits.memory" || p.Limit != "1MiB" || r.Header.Get("Retry-After") == "" {
		t.Errorf("answer = %d %v %+v", r.StatusCode, r.Header, p)
	}
	// Small calls need none.
	if r := g.ask(t, signedCall(t, callBody("run1"))); r.StatusCode != 200 {
		t.Errorf("small call: answer = %d", r.StatusCode)
	}
	g.budget.Release(1 << 20)
	if r := g.ask(t, signedCall(t, body)); r.StatusCode != 200 {
		t.Errorf("with memory: answer = %d", r.StatusCode)
	}
}

func TestBody_goesOnWhenMemoryIsThereAgain(t *testing.T) {
	g := newGateway(t, func(s *setup) {
		s.memory, s.tick, s.bodyWindow = 1<<20, 5*time.Millisecond, 20*time.Millisecond
	})
	if err := g.budget.AcquireAnswer(t.Context(), 1<<20); err != nil {
		t.Fatal(err)
	}
	c := dial(t, g.addr)
	c.send(signedCall(t, callBody("run1")+strings.Repeat(" ", 64<<10)))
	eventually(t, "the body waits for memory", func() bool {
		waits := false
		g.conns.each(func(c *conn) { waits = waits || c.current() == phaseMemory })
		return waits
	})
	begin := g.clock.Load() // longer than the window of the minimum rate
	eventually(t, "time passes", func() bool { return g.clock.Load() > begin+100 })
	g.budget.Release(1 << 20)
	if r := c.reply("POST"); r.StatusCode != 200 {
		t.Errorf("answer = %d %q", r.StatusCode, r.text)
	}
}

// Memory follows what arrived, not what was declared. The declared bytes would
// be 4 GiB.
func TestBody_aThousandDeclaredLengthsCostWhatArrived(t *testing.T) {
	const connections, declared, sent, limit = 1000, 4 << 20, 64 << 10, 256 << 20
	g := newGateway(t, func(s *setup) { s.memory = limit })
	before := inUse()
	head := fmt.Sprintf("POST /api/inngest HTTP/1.1\r\nHost: gw\r\nX-Inngest-Signature: %s\r\nContent-Length: %d\r\n\r\n", sign(t, "x"), declared)
	part := head + strings.Repeat("a", sent)
	var clients sync.WaitGroup
	attackers := make([]*client, connections)
	for i := range 8 {
		clients.Go(func() {
			for n := i; n < connections; n += 8 {
				attackers[n] = dial(t, g.addr)
				if _, err := io.WriteString(attackers[n].Conn, part); err != nil {
					t.Errorf("attacker %d: %v", n, err)
				}
			}
		})
	}
	clients.Wait()
	eventually(t, "all of it has arrived", func() bool {
		var arrived int64
		g.conns.each(func(c *conn) {
			if c.current() == phaseBody {
				arrived += c.arrived.Load()
			}
		})
		return arrived > connections*(sent-smallBlock)
	})
	peak := inUse()
	used := g.budget.Used()
	t.Logf("%d connections: budget %d MiB, heap and stacks %d MiB more", connections, used>>20, int64(peak-before)>>20)
	if used > 2*connections*sent || int64(peak)-int64(before) > limit {
		t.Errorf("budget %d bytes, memory grew by %d; want at most %d and %d", used, int64(peak)-int64(before), 2*connections*sent, limit)
	}
	honest := dial(t, g.addr)
	for range 100 {
		began := time.Now()
		honest.send(signedCall(t, callBody("run1")+strings.Repeat(" ", 32<<10)))
		if r := honest.reply("POST"); r.StatusCode != 200 {
			t.Fatalf("honest call: %d %q", r.StatusCode, r.text)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("honest call took %v", took)
		}
	}
}

// inUse is the memory that the process holds for objects and stacks. Garbage is
// part of it: it was paid for.
func inUse() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

func TestBody_memoryIsGivenBackWhenCallersVanish(t *testing.T) {
	g := newGateway(t, nil)
	for range 50 {
		c := dial(t, g.addr)
		c.send("POST /api/inngest HTTP/1.1\r\nHost: gw\r\nX-Inngest-Signature: " + sign(t, "x") + "\r\nContent-Length: 4194304\r\n\r\n" + strings.Repeat("a", 100<<10))
		c.Close()
	}
	eventually(t, "nothing is charged", func() bool { return g.budget.Used() == 0 && g.conns.len() == 0 })
}

// Idle connections hold no buffers.
func TestIdle_connectionsAreCheap(t *testing.T) {
	if testing.Short() {
		t.Skip("opens 2,000 connections")
	}
	const connections = 2000
	g := newGateway(t, nil)
	g.app.does(func(context.Context, *call.Call) (*call.Answer, error) { return ok("{}"), nil })
	raw := signedCall(t, callBody("run1"))
	debug.FreeOSMemory()
	debug.FreeOSMemory() // what is in pools survives one collection
	before := inUse()
	for range connections {
		c := dial(t, g.addr)
		c.in = nil
		c.send(raw)
	}
	eventually(t, "all are idle", func() bool {
		idle := 0
		g.conns.each(func(c *conn) {
			if c.current() == phaseIdle {
				idle++
			}
		})
		return idle == connections
	})
	g.app.mu.Lock()
	g.app.seen = nil
	g.app.mu.Unlock()
	debug.FreeOSMemory()
	debug.FreeOSMemory()
	each := (int64(inUse()) - int64(before)) / connections
	t.Logf("an idle connection costs %d bytes, the client's side included", each)
	if each > 16<<10 {
		t.Errorf("an idle connection costs %d bytes", each)
	}
}
