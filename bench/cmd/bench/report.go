package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/inngest-gateway/inngest-gateway/bench/figures"
)

// report is what a run found.
type report struct {
	Machine  string       `json:"machine"`
	Started  time.Time    `json:"started"`
	Callers  int          `json:"callers"`
	Rate     float64      `json:"calls_per_second_offered,omitempty"` // 0: closed loop
	SliceMS  float64      `json:"slice_ms"`
	Cycles   int          `json:"cycles"`
	Cases    []caseReport `json:"cases"`
	Quartile string       `json:"quartiles"`
}

// caseReport is one size of body in one mode.
type caseReport struct {
	Size       int               `json:"body_bytes"`
	Mode       string            `json:"mode"`
	Contenders []contenderReport `json:"contenders"`
}

// contenderReport holds medians of turns with their quartiles, ratios being
// taken within a cycle; percentiles are over all turns together.
type contenderReport struct {
	Name         string                     `json:"name"`
	Calls        int64                      `json:"calls"`
	PerSecond    figures.Summary            `json:"calls_per_second"`
	P50          float64                    `json:"p50_us"`
	P99          float64                    `json:"p99_us"`
	AnswerBytes  float64                    `json:"answer_bytes"`
	CPUPerCall   *figures.Summary           `json:"cpu_us_per_call,omitempty"` // of the process in between
	PeakRSS      int64                      `json:"peak_rss_bytes,omitempty"`
	CPURatio     map[string]figures.Summary `json:"cpu_ratio,omitempty"`              // to whom
	SpeedRatio   map[string]figures.Summary `json:"calls_per_second_ratio,omitempty"` // to whom
	LatencyRatio map[string]figures.Summary `json:"p50_ratio,omitempty"`              // to whom
}

func newReport(s settings) *report {
	return &report{
		Machine: figures.Machine(), Started: time.Now().UTC().Truncate(time.Second),
		Callers: s.callers, Rate: s.rate, SliceMS: float64(s.slice.Microseconds()) / 1e3, Cycles: s.cycles,
		Quartile: "of the turns; ratios are taken within a cycle",
	}
}

func newCaseReport(m mode, size int, contenders []*contender) (caseReport, error) {
	r := caseReport{Size: size, Mode: m.name}
	for _, c := range contenders {
		one := contenderReport{
			Name:      c.name,
			PerSecond: figures.Of(c.turns, func(t turn) float64 { return t.perSecond }),
			P50:       float64(c.latencies.ValueAtQuantile(50)) / 1e3,
			P99:       float64(c.latencies.ValueAtQuantile(99)) / 1e3,
		}
		var bytes int64
		for _, t := range c.turns {
			one.Calls += t.calls
			bytes += t.bytes
		}
		one.AnswerBytes = float64(bytes) / float64(one.Calls)
		if c.process != nil {
			cpu := figures.Of(c.turns, func(t turn) float64 { return t.cpuPerCall })
			one.CPUPerCall = &cpu
			var err error
			if one.PeakRSS, err = c.process.PeakRSS(); err != nil {
				return r, err
			}
		}
		one.compare(c, contenders)
		r.Contenders = append(r.Contenders, one)
	}
	return r, nil
}

// compare takes the ratios to all others.
func (r *contenderReport) compare(c *contender, all []*contender) {
	r.CPURatio, r.SpeedRatio, r.LatencyRatio = map[string]figures.Summary{}, map[string]figures.Summary{}, map[string]figures.Summary{}
	for _, other := range all {
		if other == c {
			continue
		}
		ratio := func(of func(turn) float64) figures.Summary {
			return figures.Ratio(c.turns, other.turns, of)
		}
		if c.process != nil && other.process != nil {
			r.CPURatio[other.name] = ratio(func(t turn) float64 { return t.cpuPerCall })
		}
		r.SpeedRatio[other.name] = ratio(func(t turn) float64 { return t.perSecond })
		r.LatencyRatio[other.name] = ratio(func(t turn) float64 { return t.p50 })
	}
}

// markdown writes one table for all cases.
func (r *report) markdown(w io.Writer) error {
	loop := "as fast as answers come"
	if r.Rate > 0 {
		loop = fmt.Sprintf("%g calls a second offered to each", r.Rate)
	}
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "%s; %d callers, %s; %d cycles of %g ms slices.\n\n", r.Machine, r.Callers, loop, r.Cycles, r.SliceMS)
	bases := r.bases()
	fmt.Fprint(out, "| case | contender | calls/s | p50 µs | p99 µs | CPU µs/call | peak RSS MiB | calls/s ÷ direct")
	for _, base := range bases {
		fmt.Fprintf(out, " | CPU ÷ %s", base)
	}
	fmt.Fprintf(out, " |\n|---|---|---:|---:|---:|---:|---:|---:%s|\n", strings.Repeat("|---:", len(bases)))
	for _, c := range r.Cases {
		for i, one := range c.Contenders {
			name := sizeText(c.Size) + ", " + modesByName()[c.Mode].text
			if i > 0 {
				name = ""
			}
			cpu, rss := "–", "–"
			if one.CPUPerCall != nil {
				cpu, rss = fmt.Sprintf("%.1f", one.CPUPerCall.Median), fmt.Sprintf("%.0f", float64(one.PeakRSS)/(1<<20))
			}
			fmt.Fprintf(out, "| %s | %s | %.0f | %.0f | %.0f | %s | %s | %s", name, one.Name, one.PerSecond.Median, one.P50, one.P99,
				cpu, rss, ratioText(one.SpeedRatio, "direct"))
			for _, base := range bases {
				fmt.Fprintf(out, " | %s", ratioText(one.CPURatio, base))
			}
			fmt.Fprint(out, " |\n")
		}
	}
	return out.Flush()
}

// bases are the contenders that processor time is compared with.
func (r *report) bases() []string {
	var bases []string
	for _, one := range r.Cases[0].Contenders {
		if one.CPUPerCall != nil && one.Name != "gateway" {
			bases = append(bases, one.Name)
		}
	}
	return bases
}

func ratioText(ratios map[string]figures.Summary, base string) string {
	s, ok := ratios[base]
	if !ok {
		return "–"
	}
	return s.String()
}
