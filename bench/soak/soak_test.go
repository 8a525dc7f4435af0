package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/inngest-gateway/inngest-gateway/bench/rig"
)

// The test binary plays the app as the command does.
func TestMain(m *testing.M) {
	if played, err := rig.Play(roles()); played {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func TestSoak_findsNothingWrongInAShortTrial(t *testing.T) {
	if testing.Short() {
		t.Skip("takes as long as the breaker needs to close")
	}
	var out bytes.Buffer
	err := run(t.Context(), []string{"-for", "8s", "-up", "6s", "-down", "100ms", "-callers", "6"}, &out)
	if err != nil {
		t.Fatalf("soak = %v\n%s", err, &out)
	}
	for _, want := range []string{"calls answered", "peak of resident memory", "goroutines before and after"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("soak does not say %q:\n%s", want, &out)
		}
	}
}

func TestLedger_comparesWithTheAppsJournal(t *testing.T) {
	run := func(number byte) string { return "0000000000000000000000000" + string(number) + "\n" }
	for name, c := range map[string]struct {
		fates   []fate
		journal string
		burned  int
		want    string // of what is wrong; empty: nothing
	}{
		"all answered":           {[]fate{answered, answered}, run('0') + run('1'), 0, ""},
		"refused before the app": {[]fate{refused, answered}, run('1'), 0, ""},
		"refused in the app":     {[]fate{refused, answered}, run('0') + run('1'), 1, ""},
		"sent twice":             {[]fate{answered}, run('0') + run('0'), 0, "more than once"},
		"answered by nobody":     {[]fate{answered}, "", 0, "which was not called"},
		"not over":               {[]fate{open}, run('0'), 0, "neither answer nor refusal"},
		"invented":               {[]fate{answered}, run('0') + run('7'), 0, "a run that nobody called"},
		"no run at all":          {[]fate{answered}, run('0') + "hello\n", 0, "a run that nobody called"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "journal")
			if err := os.WriteFile(file, []byte(c.journal), 0o600); err != nil {
				t.Fatal(err)
			}
			l := newLedger()
			l.fates = c.fates
			burned, err := l.audit(file)
			if err != nil || burned != c.burned {
				t.Errorf("audit = %d burned, %v, want %d", burned, err, c.burned)
			}
			text := fmt.Sprint(l.failures())
			if c.want == "" && len(l.failures()) > 0 || !strings.Contains(text, c.want) {
				t.Errorf("audit found %s, want %q", text, c.want)
			}
		})
	}
}
