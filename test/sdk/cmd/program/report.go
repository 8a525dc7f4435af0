package main

import (
	"bufio"
	"fmt"
	"io"

	"github.com/inngest-gateway/inngest-gateway/bench/figures"
)

// report is what a run found.
type report struct {
	Machine    string            `json:"machine"`
	Runs       int               `json:"runs_at_once"`
	SliceMS    float64           `json:"slice_ms"`
	Cycles     int               `json:"cycles"`
	Contenders []contenderReport `json:"contenders"`
}

// contenderReport holds medians of turns with their quartiles; ratios to the
// function on the SDK, with or without checkpoints as this one, are taken within
// a cycle.
type contenderReport struct {
	Name        string          `json:"name"`
	PerSecond   figures.Summary `json:"runs_per_second"`
	MS          figures.Summary `json:"run_ms"`
	Calls       figures.Summary `json:"calls_per_run"`
	Checkpoints figures.Summary `json:"checkpointed_steps_per_run"`
	Gateway     figures.Summary `json:"gateway_cpu_us_per_run"`
	App         figures.Summary `json:"app_cpu_us_per_run"`
	Backend     figures.Summary `json:"backend_cpu_us_per_run"`
	Server      figures.Summary `json:"server_cpu_us_per_run"`

	MSRatio  *figures.Summary `json:"run_ms_ratio_to_sdk,omitempty"`
	CPURatio *figures.Summary `json:"cpu_ratio_to_sdk,omitempty"` // of gateway, app and backend
}

func newReport(s settings, turns map[string][]turn) *report {
	r := &report{Machine: figures.Machine(), Runs: s.runs, SliceMS: float64(s.slice.Microseconds()) / 1e3, Cycles: s.cycles}
	bases := map[string]string{"hosted": "sdk", "hosted-plain": "sdk-plain"}
	for _, name := range s.contenders {
		of := func(figure func(turn) float64) figures.Summary { return figures.Of(turns[name], figure) }
		one := contenderReport{
			Name:        name,
			PerSecond:   of(func(t turn) float64 { return t.perSecond }),
			MS:          of(func(t turn) float64 { return t.ms }),
			Calls:       of(func(t turn) float64 { return t.calls }),
			Checkpoints: of(func(t turn) float64 { return t.checkpoints }),
			Gateway:     of(func(t turn) float64 { return t.gateway }),
			App:         of(func(t turn) float64 { return t.app }),
			Backend:     of(func(t turn) float64 { return t.backend }),
			Server:      of(func(t turn) float64 { return t.server }),
		}
		if base := turns[bases[name]]; base != nil {
			ms := figures.Ratio(turns[name], base, func(t turn) float64 { return t.ms })
			cpu := figures.Ratio(turns[name], base, turn.all)
			one.MSRatio, one.CPURatio = &ms, &cpu
		}
		r.Contenders = append(r.Contenders, one)
	}
	return r
}

func (r *report) markdown(w io.Writer) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "%s; %d runs at once; %d cycles of %g ms slices.\n\n", r.Machine, r.Runs, r.Cycles, r.SliceMS)
	fmt.Fprint(out, "| function | runs/s | ms a run | calls a run | steps checkpointed | CPU µs a run: gateway | app on the SDK | backend | server "+
		"| ms a run ÷ sdk | CPU of gateway, app and backend ÷ sdk |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, c := range r.Contenders {
		fmt.Fprintf(out, "| %s | %.0f | %.1f | %.1f | %.1f | %.0f | %.0f | %.0f | %.0f | %s | %s |\n", c.Name, c.PerSecond.Median, c.MS.Median,
			c.Calls.Median, c.Checkpoints.Median, c.Gateway.Median, c.App.Median, c.Backend.Median, c.Server.Median, ratio(c.MSRatio), ratio(c.CPURatio))
	}
	return out.Flush()
}

func ratio(s *figures.Summary) string {
	if s == nil {
		return "–"
	}
	return s.String()
}
