package sdk

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/inngest/inngestgo"

	"github.com/inngest-gateway/inngest-gateway/devserver"
)

// A sender sends one event alone and then several at once with an SDK, and
// returns the ids that it was told. The data of the n-th event says n.
type sender func(tb testing.TB, gw gatewayUnderTest, mode string) (single, many []string)

const manyEvents = 20

func senders() map[string]sender {
	return map[string]sender{
		"js": sendManyWithNode,
		"go": func(tb testing.TB, gw gatewayUnderTest, mode string) (single, many []string) {
			tb.Helper()
			client := newGoClient(tb, gw, mode)
			id, err := client.Send(tb.Context(), simpleEvent(0))
			if err != nil {
				tb.Fatalf("Send: %v\n%s", err, gw.log())
			}
			events := make([]any, manyEvents)
			for i := range events {
				events[i] = simpleEvent(i + 1)
			}
			many, err = client.SendMany(tb.Context(), events)
			if err != nil {
				tb.Fatalf("SendMany: %v\n%s", err, gw.log())
			}
			return []string{id}, many
		},
	}
}

func simpleEvent(n int) inngestgo.Event {
	return inngestgo.Event{Name: prefix + "simple", Data: map[string]any{"n": 1, "sent": n}}
}

// newGoClient is a client of the Go SDK, as an app in that mode has it.
func newGoClient(tb testing.TB, gw gatewayUnderTest, mode string) inngestgo.Client {
	tb.Helper()
	key, dev := eventKeyOf(mode), false
	client, err := inngestgo.NewClient(inngestgo.ClientOpts{
		AppID: "sender", EventKey: &key, EventAPIBaseURL: &gw.appsURL, Env: new(string), Dev: &dev, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return client
}

// checkSent checks that the server knows each event by the id that its sender
// was told, in order, and that each started one run that completed.
func checkSent(t *testing.T, s *server, ids []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for n, id := range ids {
		runs, err := s.WaitRunsOf(ctx, id)
		if err != nil || len(runs) != 1 || runs[0].Status != devserver.Completed {
			t.Errorf("event %d (%s): %d runs, %v\n%s", n, id, len(runs), err, timeline(runs))
			continue
		}
		var event struct {
			Data struct{ Sent int }
		}
		if err := json.Unmarshal(runs[0].Events[0], &event); err != nil || event.Data.Sent != n {
			t.Errorf("id %s of event %d has event %s", id, n, runs[0].Events[0])
		}
	}
	sorted := slices.Sorted(slices.Values(ids))
	if got := slices.Compact(sorted); len(got) != len(ids) {
		t.Errorf("%d ids for %d events", len(got), len(ids))
	}
	if got := s.EventTotals(); got.Distinct != len(ids) || got.Runs != len(ids) {
		t.Errorf("the server has %+v, want %d events, a run each", got, len(ids))
	}
}

func TestEvents_haveTheIDsThatTheirSendersAreTold(t *testing.T) {
	for name, send := range senders() {
		for _, mode := range modes() {
			t.Run(name+"/"+mode, func(t *testing.T) {
				t.Parallel()
				s := startServer(t, devserver.Register, productionKey)
				_, gw := startBehindGateway(t, s, sdks()["go"], mode)
				syncSigned(t, s, gw)
				single, many := send(t, gw, mode)
				checkSent(t, s, append(single, many...))
				if got := s.EventTotals(); got.Arrived != got.Distinct {
					t.Errorf("%d events arrived %d times", got.Distinct, got.Arrived)
				}
			})
		}
	}
}

// Inngest takes nothing, or takes events and does not say so. The SDKs notice
// nothing of it, and each event runs once.
func TestEvents_areTakenWhileInngestFails(t *testing.T) {
	for trouble, fault := range map[string]devserver.EventFault{
		"unavailable":    {Status: 503},
		"no answer":      {Ending: devserver.ResetBefore, Take: devserver.All},
		"half an answer": {Ending: devserver.ResetWithin, Take: devserver.All},
		"half the list":  {Ending: devserver.ResetBefore, Take: manyEvents / 2},
	} {
		for name, send := range senders() {
			t.Run(trouble+"/"+name, func(t *testing.T) {
				t.Parallel()
				s := startServer(t, devserver.Register, productionKey)
				_, gw := startBehindGateway(t, s, sdks()["go"], "resign")
				syncSigned(t, s, gw)
				s.FaultEvents(devserver.AlwaysFault(fault))
				single, many := send(t, gw, "resign")
				s.FaultEvents(nil)
				checkSent(t, s, append(single, many...))
			})
		}
	}
}

// Events that are sent at the same time by different callers go to Inngest
// together, and each caller gets its own ids.
func TestEvents_ofManyCallersAreSentTogether(t *testing.T) {
	const callers = 200
	s := startServer(t, devserver.Register, productionKey)
	_, gw := startBehindGateway(t, s, sdks()["go"], "resign")
	syncSigned(t, s, gw)
	s.FaultEvents(devserver.AlwaysFault(devserver.EventFault{Delay: 50 * time.Millisecond})) // a server far away
	client := newGoClient(t, gw, "resign")
	ids, errs := make([]string, callers), make([]error, callers)
	var wg sync.WaitGroup
	for n := range callers {
		wg.Go(func() { ids[n], errs[n] = client.Send(t.Context(), simpleEvent(n)) })
	}
	wg.Wait()
	for n, err := range errs {
		if err != nil {
			t.Fatalf("caller %d: %v\n%s", n, err, gw.log())
		}
	}
	checkSent(t, s, ids)
	if got := s.EventTotals().Posts; got > callers/5 {
		t.Errorf("%d events of as many callers came in %d requests, want at most %d", callers, got, callers/5)
	} else {
		t.Logf("%d events came in %d requests", callers, got)
	}
}
