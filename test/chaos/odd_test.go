package chaos

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/inngest-gateway/inngest-gateway/devserver"
)

// oddly answers every request that has an event with such a number among its
// events as a firewall would that dislikes it.
func oddly(fault devserver.EventFault, odd func(n int) bool) func(devserver.EventPost) devserver.EventFault {
	return func(p devserver.EventPost) devserver.EventFault {
		var events []struct{ Name string }
		if err := json.Unmarshal(p.Body, &events); err != nil {
			return devserver.EventFault{}
		}
		for _, e := range events {
			if odd(numberOf(e.Name)) {
				return fault
			}
		}
		return devserver.EventFault{}
	}
}

// numberOf is the number of a sender's event; -1: it is not one.
func numberOf(name string) int {
	n, err := strconv.Atoi(name[strings.LastIndexByte(name, '.')+1:])
	if err != nil {
		return -1
	}
	return n
}

// A firewall before Inngest answers a page to some events, each time. The others
// arrive, from the spool and beside it, also when the gateway is killed in
// between, and when the firewall is put right so do those.
func TestEvents_thatGetNoClearAnswerHoldUpNobody(t *testing.T) {
	for name, c := range map[string]struct {
		settings string
		fault    devserver.EventFault
	}{
		"hybrid":  {"events: {" + quick + "}", devserver.EventFault{Status: 403, Body: "<html>blocked</html>"}},
		"durable": {"events: {spool: {mode: durable}, " + quick + "}", devserver.EventFault{Status: 500}},
	} {
		t.Run(name, func(t *testing.T) {
			const events = 2000
			s := newServer(t)
			newSink(t, s)
			odd := func(n int) bool { return n%401 == 17 }
			s.FaultEvents(oddly(c.fault, odd))
			g := newGateway(t, s, nil, c.settings)
			g.start()
			s.goAway()
			b := send(t, g.apps, 64, events, 100)
			b.until(events / 2)
			s.comeBack()
			until(t, "one that is set back", func() bool { return g.metric("inngest_gateway_deliver_set_back_records_total") > 0 })
			g.kill()
			g.start()
			b.wait()
			until(t, "all but the odd ones", func() bool {
				for _, name := range b.missing(s) {
					if !odd(numberOf(name)) {
						return false
					}
				}
				return true
			})
			if len(b.missing(s)) == 0 {
				t.Error("no odd event was acknowledged: nothing was tested")
			}
			s.FaultEvents(nil)
			b.settled(s, g.backlog)
			b.judge(s)
		})
	}
}
