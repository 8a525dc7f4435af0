//go:build !race

package pool

import (
	"context"
	"strings"
	"testing"
)

func TestDo_allocatesLittle(t *testing.T) {
	u := run(t, options(t, "http://"+echoApp(t)))
	cancelable, cancel := context.WithCancel(context.Background())
	defer cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		size int
		most float64
	}{
		"1 KiB":                          {context.Background(), 1 << 10, 1},
		"1 KiB that can be canceled":     {cancelable, 1 << 10, 5},
		"64 KiB, written by a goroutine": {context.Background(), 64 << 10, 3},
	} {
		t.Run(name, func(t *testing.T) {
			cl := post(strings.Repeat("x", c.size))
			if n := testing.AllocsPerRun(500, func() {
				a, err := u.Do(c.ctx, cl)
				if err != nil {
					t.Fatal(err)
				}
				a.Release()
			}); n > c.most {
				t.Errorf("%v allocations a call, want at most %v", n, c.most)
			}
		})
	}
}
