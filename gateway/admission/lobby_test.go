package admission

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// fill takes places for calls of n bytes until there is none.
func fill(l *Lobby, calls *int, bytes *int64, n int64) reason {
	for {
		why, ok := l.enter(*calls, *bytes, n)
		if !ok {
			return why
		}
		*calls++
		*bytes += n
	}
}

func TestLobby_leavesSomethingToTheNextRoom(t *testing.T) {
	for name, c := range map[string]struct {
		calls int
		bytes int64
		why   reason
	}{
		"calls": {1000, 1 << 40, reasonLobbyCalls},
		"bytes": {1 << 40, 1000, reasonLobbyBytes},
	} {
		t.Run(name, func(t *testing.T) {
			l := NewLobby(c.calls, c.bytes)
			const rooms = 5
			for range rooms {
				l.join()
			}
			var calls [rooms]int
			var bytes [rooms]int64
			for i, want := range []int{750, 186, 45, 10, 2} { // three quarters of what is free, each
				if why := fill(l, &calls[i], &bytes[i], 1); why != c.why {
					t.Errorf("room %d has no place because of %d, want %d", i, why, c.why)
				}
				if diff := calls[i] - want; diff < -2 || diff > 2 {
					t.Errorf("room %d has %d places, want about %d", i, calls[i], want)
				}
			}
			for range calls[0] {
				l.leave(1)
			}
			more := calls[1]
			fill(l, &calls[1], &bytes[1], 1)
			if calls[1] < 3*more {
				t.Errorf("when the first room is empty the second has %d places, before %d", calls[1], more)
			}
		})
	}
}

func TestLobby_isAllForTheOnlyRoom(t *testing.T) {
	l := NewLobby(1000, 1<<20)
	l.join()
	var calls int
	var bytes int64
	fill(l, &calls, &bytes, 1)
	if calls != 1000 {
		t.Errorf("%d places, want all 1000", calls)
	}
}

// Two apps are away. One has many calls; the other's still find a place, and what
// is turned away is told whose limit that is. Nothing stays behind.
func TestRoom_sharesTheLobby(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &fakeApp{down: true, step: takes(0)}
		o := options(t, app)
		o.Lobby = NewLobby(100, 1<<20)
		many := newRoom(t, o)
		o.App = "mail"
		few := newRoom(t, o)
		var all []<-chan result
		for range 200 {
			all = append(all, send(many, newCall("run-"+string(rune('a'+len(all))))))
		}
		synctest.Wait()
		if got := many.Status().Parked; got < 70 || got > 80 {
			t.Errorf("%d calls of the one app wait, want about three quarters of 100", got)
		}
		for range 10 {
			all = append(all, send(few, newCall("run-"+string(rune('a'+len(all))))))
		}
		synctest.Wait()
		if got := few.Status().Parked; got != 10 {
			t.Errorf("%d calls of the other app wait, want 10", got)
		}
		app.set(func(a *fakeApp) { a.down = false })
		refused := 0
		for _, one := range all {
			got := <-one
			if got.err == nil {
				continue
			}
			refused++
			if e := refusal(t, got); e.Code != inngest.CodeWaitingRoomFull || e.Setting != "limits.connections" || !strings.Contains(e.Detail, "of all apps") {
				t.Errorf("a call was told %v (%s)", e, e.Setting)
			}
		}
		if refused < 120 || refused > 130 {
			t.Errorf("%d calls were turned away, want about 125", refused)
		}
		if calls, bytes := o.Lobby.held(); calls != 0 || bytes != 0 {
			t.Errorf("%d calls and %d bytes stay in the lobby", calls, bytes)
		}
	})
}
