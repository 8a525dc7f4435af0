package spool

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDeadLetters_areListedShownReplayedAndDropped(t *testing.T) {
	both(t, func(t *testing.T, o Options) {
		s := open(t, o)
		bodies := [][]byte{[]byte("[1]"), noise(1200 << 10), []byte("[3]")}
		for n, body := range bodies {
			add(t, s, record(n, body))
		}
		for range bodies {
			if err := next(t, s).DeadLetter(t.Context(), "Inngest says:\r\nno äöü"); err != nil {
				t.Fatal(err)
			}
		}
		b := backlog(t, s)
		if b.Records != 0 || b.Bytes != 0 || b.DeadLetters != 3 || b.DeadBytes < 1200<<10 {
			t.Errorf("Backlog = %+v, want 3 dead letters and nothing else", b)
		}
		two, err := s.List(t.Context(), 2)
		if err != nil || len(two) != 2 {
			t.Fatalf("List(2) = %v, %v", two, err)
		}
		s.Close()
		s = open(t, o) // they stay
		letters, err := s.List(t.Context(), 100)
		if err != nil || len(letters) != 3 {
			t.Fatalf("List = %v, %v", letters, err)
		}
		if diff := cmp.Diff(two, letters[:2]); diff != "" {
			t.Errorf("List after reopening (-before +after):\n%s", diff)
		}
		for n, l := range letters {
			if l.Reason != "Inngest says:\r\nno äöü" || l.Damaged || l.At.IsZero() || l.Record.Body != nil {
				t.Errorf("letter %d = %+v", n, l)
			}
			shown, err := s.Show(t.Context(), l.ID)
			if err != nil {
				t.Fatal(err)
			}
			sameRecord(t, shown.Record, record(n, bodies[n]))
		}
		add(t, s, record(9, []byte("[]")))
		for _, n := range []int{1, 0} {
			if err := s.Replay(t.Context(), letters[n].ID); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Drop(t.Context(), letters[2].ID); err != nil {
			t.Fatal(err)
		}
		want := []string{record(9, nil).Seed, record(1, nil).Seed, record(0, nil).Seed}
		if diff := cmp.Diff(want, drain(t, s)); diff != "" {
			t.Errorf("after Replay (-want +got):\n%s", diff)
		}
		if b := backlog(t, s); b != (Backlog{}) {
			t.Errorf("Backlog = %+v, want nothing", b)
		}
	})
}

func TestDeadLetters_thatAreNotThereAreSaid(t *testing.T) {
	s := open(t, options(t.TempDir()))
	for _, id := range []string{"", "*", "1", "a.b", ">", "01ARZ3NDEKTSV4RRFFQ69G5FAV"} {
		if _, err := s.Show(t.Context(), id); !errors.Is(err, ErrNotFound) {
			t.Errorf("Show(%q) = %v, want ErrNotFound", id, err)
		}
		if err := s.Replay(t.Context(), id); !errors.Is(err, ErrNotFound) {
			t.Errorf("Replay(%q) = %v, want ErrNotFound", id, err)
		}
		if err := s.Drop(t.Context(), id); !errors.Is(err, ErrNotFound) {
			t.Errorf("Drop(%q) = %v, want ErrNotFound", id, err)
		}
	}
}

func TestReplay_leavesWhatCannotBeDecoded(t *testing.T) {
	both(t, func(t *testing.T, o Options) {
		s := open(t, o)
		big := noise(1200 << 10)
		if _, err := s.putDamaged(t.Context(), "EVENTS.log.00000000.1.x", map[string][]string{"A": {"b"}}, big, "torn"); err != nil {
			t.Fatal(err)
		}
		letters, err := s.List(t.Context(), 1)
		if err != nil || len(letters) != 1 || !letters[0].Damaged {
			t.Fatalf("List = %v, %v", letters, err)
		}
		id := letters[0].ID
		if err := s.Replay(t.Context(), id); !errors.Is(err, ErrDamaged) {
			t.Errorf("Replay = %v, want ErrDamaged", err)
		}
		if l, err := s.Show(t.Context(), id); err != nil || string(l.Record.Body) != string(big) {
			t.Errorf("Show = %d bytes, %v", len(l.Record.Body), err)
		}
		if err := s.Drop(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if b := backlog(t, s); b != (Backlog{}) {
			t.Errorf("Backlog = %+v, want nothing", b)
		}
	})
}

func TestSetAside_keepsAPartAndTheDelivery(t *testing.T) {
	both(t, func(t *testing.T, o Options) {
		s := open(t, o)
		add(t, s, record(1, []byte(`[{"n":1},{"n":2}]`)))
		d := next(t, s)
		part := d.Record
		part.Body, part.Count = []byte(`[{"n":2}]`), 1
		if err := d.SetAside(t.Context(), part, "no"); err != nil {
			t.Fatal(err)
		}
		if b := backlog(t, s); b.Records != 1 || b.DeadLetters != 1 {
			t.Errorf("Backlog = %+v, want a record and a dead letter", b)
		}
		letters, err := s.List(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		l, err := s.Show(t.Context(), letters[0].ID)
		if err != nil || string(l.Record.Body) != `[{"n":2}]` || l.Reason != "no" {
			t.Errorf("Show = %+v, %v", l, err)
		}
		if err := d.Ack(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}
