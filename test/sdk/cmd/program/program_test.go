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

// Whether every run ends as it must, in as many calls as it must; never what it
// costs: tests share the machine.
func TestProgram_measuresEveryFunction(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-quick", "-json"}, &out); err != nil {
		t.Fatalf("program -quick = %v", err)
	}
	var r report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Contenders) != len(names()) {
		t.Fatalf("%d functions, want %q", len(r.Contenders), names())
	}
	for i, one := range r.Contenders {
		calls, checkpoints := 1.0, float64(steps)
		if strings.HasSuffix(one.Name, "-plain") {
			calls, checkpoints = steps+1, 0
		}
		if one.Name != names()[i] || one.Calls.Q1 != calls || one.Calls.Q3 != calls || one.Checkpoints.Median != checkpoints {
			t.Errorf("%s: %v calls and %v checkpointed steps a run, want %s with %v and %v", one.Name, one.Calls, one.Checkpoints, names()[i], calls, checkpoints)
		}
		values := map[string]float64{
			"runs/s": one.PerSecond.Median, "ms": one.MS.Median, "gateway": one.Gateway.Median, "backend": one.Backend.Median, "server": one.Server.Median,
		}
		if strings.HasPrefix(one.Name, "hosted") {
			if one.MSRatio == nil || one.CPURatio == nil {
				t.Errorf("%s is not compared", one.Name)
				continue
			}
			values["ms ÷ sdk"], values["CPU ÷ sdk"] = one.MSRatio.Median, one.CPURatio.Median
		}
		for name, value := range values {
			if !(value > 0) || math.IsInf(value, 0) {
				t.Errorf("%s: %s = %v", one.Name, name, value)
			}
		}
	}
	var table strings.Builder
	if err := r.markdown(&table); err != nil || strings.Count(table.String(), "\n") != 2+2+len(names()) {
		t.Errorf("markdown = %v\n%s", err, &table)
	}
}
