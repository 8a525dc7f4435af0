package chaos

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"

	"github.com/inngest-gateway/inngest-gateway/devserver"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

// newSink makes an app whose runs end with their first call, which comes to it
// straight from the server: a run is to be counted, and to cost little. Each
// event of the senders starts one.
func newSink(tb testing.TB, s *server) {
	tb.Helper()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set(inngest.HeaderSDK, "js:v4.24.0")
		w.Header().Set(inngest.HeaderRequestVersion, "2")
		io.WriteString(w, `"done"`)
	}))
	tb.Cleanup(app.Close)
	s.register("sink", "t/sink.*", app.URL)
}

// troubles are what an Inngest in trouble does to a request, events taken or not.
func troubles() []devserver.EventFault {
	return []devserver.EventFault{
		{Status: 500},
		{Status: 500, Take: devserver.All},
		{Status: 500, Take: 1},
		{Status: 429, Header: http.Header{"Retry-After": {"1"}}},
		{Status: 502, Body: "<html>"},
		{Ending: devserver.ResetBefore},
		{Ending: devserver.ResetBefore, Take: devserver.All},
		{Ending: devserver.ResetWithin, Take: devserver.All},
		{Ending: devserver.ResetBefore, Take: 3},
	}
}

// quick has the gateway look for Inngest often.
const quick = "delivery: {backoff_min: 20ms, backoff_max: 300ms, breaker: {open_for: 100ms}}"

// backlog is how many batches wait in the gateway's spool; -1: it cannot say.
func (g *gateway) backlog() int {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + g.admin + "/status")
	if err != nil {
		return -1
	}
	defer resp.Body.Close()
	var status struct {
		Events struct {
			Spool struct {
				Open    bool
				Records int
				Error   string
			}
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&status); err != nil || !status.Events.Spool.Open || status.Events.Spool.Error != "" {
		return -1
	}
	return status.Events.Spool.Records
}

// metric sums up the samples of a metric that have these labels; -1: there are
// none, or no answer.
func (g *gateway) metric(name string, labels ...string) float64 {
	g.tb.Helper()
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + g.admin + "/metrics")
	if err != nil {
		return -1
	}
	defer resp.Body.Close()
	sum, found := 0.0, false
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		sample, value, _ := strings.Cut(lines.Text(), " ")
		family, of, _ := strings.Cut(sample, "{")
		if family != name || slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(of, l) }) {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			g.tb.Fatalf("metric %s: %v", name, err)
		}
		sum, found = sum+n, true
	}
	if !found {
		return -1
	}
	return sum
}

// spoolModes are settings for the ways in which events can be kept, by name.
func spoolModes() map[string]string {
	return map[string]string{
		"hybrid":  "events: {" + quick + "}",
		"durable": "events: {spool: {mode: durable}, " + quick + "}",
	}
}

// Inngest goes away while events are sent, and the gateway is killed twice before
// it comes back. What was acknowledged arrives, and runs once.
func TestEvents_surviveKillsOfTheGatewayWhileInngestIsAway(t *testing.T) {
	for name, settings := range spoolModes() {
		t.Run(name, func(t *testing.T) {
			const events = 10_000
			s := newServer(t)
			newSink(t, s)
			g := newGateway(t, s, nil, settings)
			g.start()
			b := send(t, g.apps, 64, events, 100)
			b.until(events / 5)
			s.goAway()
			for _, part := range []int{2, 3} {
				b.until(part * events / 5)
				g.kill()
				g.start()
			}
			b.wait()
			s.comeBack()
			b.settled(s, g.backlog)
			b.judge(s)
		})
	}
}

// The spool is on a NATS server of its own, which outlives the gateway.
func TestEvents_surviveInASpoolElsewhere(t *testing.T) {
	const events = 4000
	n, err := natsserver.NewServer(&natsserver.Options{
		Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: t.TempDir(), SyncAlways: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	n.Start()
	t.Cleanup(func() {
		n.Shutdown()
		n.WaitForShutdown()
	})
	if !n.ReadyForConnections(patience) {
		t.Fatal("the NATS server does not start")
	}
	s := newServer(t)
	newSink(t, s)
	// What a killed gateway had in its hands goes out again some time after the
	// timeout of a request.
	g := newGateway(t, s, nil, fmt.Sprintf("events: {spool: {url: %q}, %s}", n.ClientURL(), strings.Replace(quick, "{", "{timeout: 1s, ", 1)))
	g.start()
	b := send(t, g.apps, 64, events, 100)
	b.until(events / 4)
	s.goAway()
	b.until(events / 2)
	g.kill()
	g.start()
	b.wait()
	s.comeBack()
	b.settled(s, g.backlog)
	b.judge(s)
}

// Inngest fails at random: it refuses, forgets to answer, resets before and after
// it has taken all or some of the events. The gateway is killed in between.
func TestEvents_surviveAnInngestInTrouble(t *testing.T) {
	for name, settings := range spoolModes() {
		t.Run(name, func(t *testing.T) {
			const events = 2000
			s := newServer(t)
			newSink(t, s)
			s.FaultEvents(devserver.RandomFaults(1, 0.2, troubles()...))
			g := newGateway(t, s, nil, settings)
			g.start()
			b := send(t, g.apps, 64, events, 100)
			b.until(events / 2)
			g.kill()
			g.start()
			b.wait()
			b.settled(s, g.backlog)
			b.judge(s)
		})
	}
}

// A gateway that is asked to go away acknowledges nothing that it then loses.
func TestEvents_surviveTheGatewaysRestarts(t *testing.T) {
	const events = 4000
	s := newServer(t)
	newSink(t, s)
	g := newGateway(t, s, nil, "events: {"+quick+"}")
	g.start()
	b := send(t, g.apps, 64, events, 100)
	for _, part := range []int{1, 2, 3} {
		b.until(part * events / 4)
		if part == 2 {
			s.goAway()
		}
		g.stop()
		g.start()
	}
	b.wait()
	s.comeBack()
	b.settled(s, g.backlog)
	b.judge(s)
}

// Of many events that are sent at once Inngest refuses one. Its sender is told
// why, the others have theirs taken.
func TestEvents_oneThatInngestRefuses(t *testing.T) {
	const events = 500
	s := newServer(t)
	newSink(t, s)
	s.RefuseEvents(func(event json.RawMessage) error {
		if strings.Contains(string(event), "t/sink.077") {
			return errors.New("this one is not wanted")
		}
		return nil
	})
	g := newGateway(t, s, nil, "events: {"+quick+"}")
	g.start()
	answers := make(chan string, events)
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	for n := range events {
		go func() {
			resp, err := client.Post("http://"+g.apps+"/e/"+recorded.EventKey, "application/json", strings.NewReader(fmt.Sprintf(`{"name":"t/sink.%03d"}`, n)))
			if err != nil {
				answers <- err.Error()
				return
			}
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode == http.StatusOK {
				answers <- fmt.Sprint(resp.StatusCode, err)
				return
			}
			answers <- fmt.Sprint(resp.StatusCode, " ", string(text))
		}()
	}
	got := map[string]int{}
	for range events {
		got[<-answers]++
	}
	for answer, n := range got {
		if strings.HasPrefix(answer, "200") && n == events-1 || strings.HasPrefix(answer, "400") && n == 1 && strings.Contains(answer, "this one is not wanted") {
			continue
		}
		t.Errorf("%d answers %s", n, answer)
	}
	s.ended(events - 1)
	counts := s.EventCounts()
	for id, c := range counts {
		if c.Arrived != 1 || c.Runs != 1 {
			t.Errorf("event %s arrived %d times and started %d runs", id, c.Arrived, c.Runs)
		}
	}
	if len(counts) != events-1 {
		t.Errorf("%d events arrived, want %d", len(counts), events-1)
	}
	t.Logf("%d POSTs for %d events", s.EventTotals().Posts, events)
}
