package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/inngest-gateway/inngest-gateway/bench/rig"
)

// The test binary plays the roles as the command does.
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

// Whether every call is answered and every figure there; never what the figures
// are: tests share the machine.
func TestBench_measuresEveryCase(t *testing.T) {
	var out, progress bytes.Buffer
	if err := run(t.Context(), []string{"-quick", "-json"}, &out, &progress); err != nil {
		t.Fatalf("bench -quick = %v\n%s", err, progress.String())
	}
	var r report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Cases) != 8 {
		t.Fatalf("%d cases, want 3 sizes kept, 3 closed, 2 with gzip:\n%s", len(r.Cases), &out)
	}
	for _, c := range r.Cases {
		for i, one := range c.Contenders {
			at := fmt.Sprintf("%d bytes, %s, %s", c.Size, c.Mode, one.Name)
			if want := []string{"direct", "reverseproxy", "gateway"}[i]; one.Name != want {
				t.Errorf("%s: want %s", at, want)
			}
			figures := map[string]float64{
				"calls": float64(one.Calls), "calls/s": one.PerSecond.Median, "p50": one.P50, "p99": one.P99,
				"answer": one.AnswerBytes, "p50 ÷ other": one.LatencyRatio[other(one.Name)].Median,
				"calls/s ÷ other": one.SpeedRatio[other(one.Name)].Median,
			}
			if one.Name != "direct" {
				figures["CPU"], figures["RSS"] = one.CPUPerCall.Median, float64(one.PeakRSS)
				figures["CPU ÷ other"] = one.CPURatio[otherProxy(one.Name)].Median
			}
			for name, value := range figures {
				if !(value > 0) || math.IsInf(value, 0) {
					t.Errorf("%s: %s = %v", at, name, value)
				}
			}
			compressed := one.AnswerBytes < float64(c.Size)/2
			if want := c.Mode == "gzip" && one.Name == "gateway"; compressed != want {
				t.Errorf("%s: answers of %.0f bytes", at, one.AnswerBytes)
			}
		}
	}
	var table strings.Builder
	if err := r.markdown(&table); err != nil || strings.Count(table.String(), "\n") != 2+2+len(r.Cases)*3 {
		t.Errorf("markdown = %v\n%s", err, &table)
	}
}

func other(name string) string {
	if name == "direct" {
		return "gateway"
	}
	return "direct"
}

func otherProxy(name string) string {
	if name == "gateway" {
		return "reverseproxy"
	}
	return "gateway"
}

func TestParse_refusesWhatItDoesNotKnow(t *testing.T) {
	for name, args := range map[string][]string{
		"an argument":        {"gateway"},
		"a mode":             {"-modes", "keep,open"},
		"a size":             {"-sizes", "1KB"},
		"a size beyond 8MiB": {"-sizes", "9MiB"},
		"no cycles":          {"-cycles", "0"},
		"a negative rate":    {"-rate", "-1"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := parse(args, &bytes.Buffer{}); err == nil {
				t.Errorf("parse(%q) gave no error", args)
			}
		})
	}
}
