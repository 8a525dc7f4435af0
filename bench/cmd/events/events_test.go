package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/inngest-gateway/inngest-gateway/bench/figures"
	"github.com/inngest-gateway/inngest-gateway/bench/rig"
)

// The test binary plays the event API as the command does.
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

// Whether every event arrives and every figure is there; never what the figures
// are: tests share the machine.
func TestEvents_measuresEveryCase(t *testing.T) {
	var out, progress bytes.Buffer
	args := []string{"-quick", "-json", "-arrays", "1,20", "-flood", "4MiB", "-dir", t.TempDir()}
	if err := run(t.Context(), args, &out, &progress); err != nil {
		t.Fatalf("events -quick = %v\n%s", err, progress.String())
	}
	var r report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Cases) != 3 || r.Cases[0].Senders != 1 {
		t.Fatalf("%d cases, want a lone sender, single events and arrays:\n%s", len(r.Cases), &out)
	}
	for _, c := range r.Cases {
		for i, one := range c.Contenders {
			at := fmt.Sprintf("%d events of %d senders, %s", c.Array, c.Senders, one.Name)
			if want := []string{"direct", "hybrid", "durable"}[i]; one.Name != want {
				t.Fatalf("%s: want %s", at, want)
			}
			values := map[string]float64{
				"events": one.Events, "taken/s": one.Taken.Median, "arrived/s": one.Arrived.Median, "p50": one.P50,
				"p99": one.P99, "posts": one.Posts.Median, "senders' CPU": one.SenderCPU.Median, "event API's CPU": one.SinkCPU.Median,
			}
			if one.Name != direct {
				values["gateway's CPU"], values["RSS"] = one.GatewayCPU.Median, float64(one.PeakRSS)
				for name, s := range map[string]*figures.Summary{"speed": one.SpeedRatio, "sink": one.SinkRatio, "total": one.TotalRatio} {
					values[name+" ÷ direct"] = s.Median
				}
			}
			for name, value := range values {
				if !(value > 0) || math.IsInf(value, 0) {
					t.Errorf("%s: %s = %v", at, name, value)
				}
			}
			if most := 1e3 / float64(c.Array); one.Posts.Q3 > most+1e-9 {
				t.Errorf("%s: %v requests for 1,000 events", at, one.Posts)
			}
		}
	}
	if len(r.Floods) != 1 || r.Floods[0].Events == 0 || r.Floods[0].PeakRSS == 0 {
		t.Errorf("floods = %+v, want one with events and memory", r.Floods)
	}
	var table strings.Builder
	if err := r.markdown(&table); err != nil || strings.Count(table.String(), "\n") != 2+2+len(r.Cases)*3+6 {
		t.Errorf("markdown = %v\n%s", err, &table)
	}
}

func TestParse_refusesWhatItDoesNotKnow(t *testing.T) {
	for name, args := range map[string][]string{
		"an argument":                {"gateway"},
		"a contender":                {"-contenders", "direct,quick"},
		"another build without one":  {"-contenders", "before-hybrid"},
		"an array of nothing":        {"-arrays", "0"},
		"an array beyond the limit":  {"-arrays", "5001"},
		"no cycles":                  {"-cycles", "0"},
		"a negative delay":           {"-delay", "-1s"},
		"a profile of what is not":   {"-profile", "x", "-contenders", "direct"},
		"a profile of another build": {"-profile", "x", "-profiled", "before-hybrid"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := parse(args, &bytes.Buffer{}); err == nil {
				t.Errorf("parse(%q) gave no error", args)
			}
		})
	}
}
