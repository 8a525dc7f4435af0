package spool

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// appendUntilKilled is the process that TestSpool_keepsEverythingAcknowledgedWhenKilled
// kills: it tells each record that was acknowledged.
func appendUntilKilled(dir string) {
	ctx := context.Background() // ends with the process
	s, err := New(options(dir))
	if err == nil {
		err = s.Open(ctx)
	}
	if err != nil {
		fmt.Println("open:", err)
		os.Exit(1)
	}
	small, large := noise(10<<10), noise(1200<<10)
	for n := 0; ; n++ {
		body := small
		if n%50 == 7 {
			body = large // in parts
		}
		if err := s.Append(ctx, record(n, body)); err != nil {
			fmt.Println("append:", err)
			os.Exit(1)
		}
		fmt.Println(record(n, nil).Seed)
	}
}

func TestSpool_keepsEverythingAcknowledgedWhenKilled(t *testing.T) {
	for _, after := range []int{1, 8, 120} {
		t.Run(fmt.Sprintf("after %d records", after), func(t *testing.T) {
			dir := t.TempDir()
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "SPOOL_TEST_DIR="+dir)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var acknowledged []string
			for lines := bufio.NewScanner(out); lines.Scan(); {
				acknowledged = append(acknowledged, lines.Text())
				if len(acknowledged) == after {
					if err := cmd.Process.Kill(); err != nil {
						t.Fatal(err)
					}
				}
			}
			_ = cmd.Wait() // killed
			if len(acknowledged) < after {
				t.Fatalf("the process ended by itself: %q", acknowledged)
			}
			s := open(t, options(dir))
			got := drain(t, s)
			// The record under way may be there or not, nothing else, each once.
			if len(got) != len(acknowledged) && len(got) != len(acknowledged)+1 {
				t.Fatalf("%d records acknowledged, %d there", len(acknowledged), len(got))
			}
			for n, seed := range got {
				if want := record(n, nil).Seed; seed != want {
					t.Fatalf("record %d is %s, want %s", n, seed, want)
				}
			}
			if parts, _, err := s.main.subjects(t.Context(), ".part.>"); err != nil || len(parts) > 0 {
				t.Errorf("parts left: %v, %v", parts, err)
			}
		})
	}
}
