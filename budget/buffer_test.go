package budget

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

func TestBuffer_readsWhatArrives(t *testing.T) {
	for _, size := range []int{0, 1, 100, smallest - 1, smallest, smallest + 1, 10_000, 1 << 20} {
		for name, length := range map[string]int64{"declared": int64(size), "undeclared": -1} {
			t.Run(fmt.Sprintf("%d bytes %s", size, name), func(t *testing.T) {
				b := newBudget(t, 4<<20, 0)
				want := bytes.Repeat([]byte("0123456789"), size/10+1)[:size]
				buf := b.Request(1 << 20)
				n, err := buf.ReadFrom(t.Context(), iotest.DataErrReader(bytes.NewReader(want)), length)
				if err != nil || n != int64(size) || !bytes.Equal(buf.Bytes(), want) || buf.Len() != size {
					t.Errorf("ReadFrom = %d, %v; %d bytes in the buffer", n, err, buf.Len())
				}
				buf.Free()
				if b.Used() != 0 {
					t.Errorf("%d bytes charged after Free", b.Used())
				}
			})
		}
	}
}

func TestBuffer_growsWithWhatArrivedNotWithWhatWasDeclared(t *testing.T) {
	b := newBudget(t, 64<<20, 0)
	buf := b.Request(8 << 20)
	for arrived := 0; arrived < 1<<20; {
		room, err := buf.Room(t.Context(), 8<<20)
		if err != nil {
			t.Fatal(err)
		}
		n := min(700, len(room))
		buf.Advance(n)
		arrived += n
		if used := b.Used(); used > max(smallest, int64(2*arrived)) {
			t.Fatalf("%d bytes charged when %d had arrived", used, arrived)
		}
	}
}

func TestBuffer_takesNoMoreThanIsExpected(t *testing.T) {
	b := newBudget(t, 64<<20, 0)
	buf := b.Answer(8 << 20)
	body := make([]byte, 64<<10+100)
	if _, err := buf.ReadFrom(t.Context(), bytes.NewReader(body), int64(len(body))); err != nil {
		t.Fatal(err)
	}
	if used := b.Used(); used != 80<<10 {
		t.Errorf("%d bytes charged for %d, want the next class", used, len(body))
	}
	if err := buf.Write(t.Context(), body); err != nil {
		t.Fatal(err)
	}
	if got := append(body, body...); !bytes.Equal(buf.Bytes(), got) {
		t.Error("Write lost bytes")
	}
}

func TestBuffer_refusesMoreThanItsMaximum(t *testing.T) {
	for name, fill := range map[string]func(*Buffer, context.Context) error{
		"undeclared": func(b *Buffer, ctx context.Context) error {
			_, err := b.ReadFrom(ctx, bytes.NewReader(make([]byte, 5001)), -1)
			return err
		},
		"declared": func(b *Buffer, ctx context.Context) error {
			_, err := b.ReadFrom(ctx, bytes.NewReader(nil), 5001)
			return err
		},
		"written": func(b *Buffer, ctx context.Context) error { return b.Write(ctx, make([]byte, 5001)) },
		"no room": func(b *Buffer, ctx context.Context) error {
			for {
				room, err := b.Room(ctx, -1)
				if err != nil {
					return err
				}
				b.Advance(len(room))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBudget(t, 1<<20, 0)
			buf := b.Request(5000)
			if err := fill(&buf, t.Context()); !errors.Is(err, ErrTooLarge) {
				t.Errorf("got %v, want ErrTooLarge", err)
			}
			if buf.Len() > 5000 {
				t.Errorf("%d bytes in a buffer for 5000", buf.Len())
			}
			buf.Free()
			if b.Used() != 0 {
				t.Errorf("%d bytes charged after Free", b.Used())
			}
		})
	}
}

func TestBuffer_fillsToItsMaximum(t *testing.T) {
	b := newBudget(t, 1<<20, 0)
	buf := b.Request(5000)
	if _, err := buf.ReadFrom(t.Context(), bytes.NewReader(make([]byte, 5000)), -1); err != nil || buf.Len() != 5000 {
		t.Errorf("ReadFrom = %v, %d bytes; want all 5000", err, buf.Len())
	}
}

func TestBuffer_reportsSourcesThatBreak(t *testing.T) {
	b := newBudget(t, 1<<20, 0)
	buf := b.Request(5000)
	if _, err := buf.ReadFrom(t.Context(), bytes.NewReader(make([]byte, 10)), 11); err != io.ErrUnexpectedEOF {
		t.Errorf("a short source: %v, want io.ErrUnexpectedEOF", err)
	}
	broken := errors.New("broken")
	if _, err := buf.ReadFrom(t.Context(), iotest.ErrReader(broken), -1); err != broken {
		t.Errorf("a broken source: %v, want its own error", err)
	}
}

func TestBuffer_waitsForMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(t, 8<<10, 0)
		if !tryAcquire(b, 6<<10) {
			t.Fatal("no room")
		}
		time.AfterFunc(5*time.Second, func() { b.Release(6 << 10) })
		buf := b.Request(1 << 20)
		began := time.Now()
		if _, err := buf.ReadFrom(t.Context(), bytes.NewReader(make([]byte, 4000)), -1); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(began); waited != 5*time.Second {
			t.Errorf("waited %v, want 5s", waited)
		}
		if err := buf.Write(t.Context(), make([]byte, 8<<10)); !errors.Is(err, ErrExhausted) {
			t.Errorf("Write beyond the budget = %v, want ErrExhausted", err)
		}
		if buf.Len() != 4000 {
			t.Errorf("a refused Write left %d bytes, want 4000", buf.Len())
		}
	})
}
