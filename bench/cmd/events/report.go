package main

import (
	"bufio"
	"fmt"
	"io"
	"time"

	"github.com/inngest-gateway/inngest-gateway/bench/figures"
)

// report is what a run found.
type report struct {
	Machine string       `json:"machine"`
	Started time.Time    `json:"started"`
	Rate    float64      `json:"requests_per_second_offered,omitempty"` // 0: closed loop
	Seeds   bool         `json:"seeds"`
	CostUS  float64      `json:"event_api_us_per_request"`
	DelayMS float64      `json:"event_api_delay_ms"`
	SliceMS float64      `json:"slice_ms"`
	Cycles  int          `json:"cycles"`
	Cases   []caseReport `json:"cases"`
	Floods  []flood      `json:"floods,omitempty"`
}

// caseReport is one number of events in a request and of senders.
type caseReport struct {
	Array      int               `json:"events_per_request"`
	Senders    int               `json:"senders"`
	Contenders []contenderReport `json:"contenders"`
}

// contenderReport holds medians of turns with their quartiles, ratios to the
// direct way being taken within a cycle; percentiles are over all turns together.
type contenderReport struct {
	Name       string           `json:"name"`
	Events     float64          `json:"events"`
	Taken      figures.Summary  `json:"events_acknowledged_per_second"`
	Arrived    figures.Summary  `json:"events_arrived_per_second"`
	P50        float64          `json:"p50_us"`
	P99        float64          `json:"p99_us"`
	Posts      figures.Summary  `json:"event_api_requests_per_1000_events"`
	SenderCPU  figures.Summary  `json:"sender_cpu_us_per_event"`
	GatewayCPU *figures.Summary `json:"gateway_cpu_us_per_event,omitempty"`
	SinkCPU    figures.Summary  `json:"event_api_cpu_us_per_event"`
	PeakRSS    int64            `json:"peak_rss_bytes,omitempty"` // of the gateway

	SpeedRatio   *figures.Summary `json:"acknowledged_ratio_to_direct,omitempty"`
	SinkRatio    *figures.Summary `json:"event_api_cpu_ratio_to_direct,omitempty"`
	TotalRatio   *figures.Summary `json:"all_cpu_ratio_to_direct,omitempty"`
	AddedLatency *figures.Summary `json:"added_p50_us,omitempty"`
	// BeforeRatio compares a gateway with the other build in the same mode.
	BeforeRatio *figures.Summary `json:"gateway_cpu_ratio_to_before,omitempty"`
	BeforeSpeed *figures.Summary `json:"arrived_ratio_to_before,omitempty"`
}

func newReport(s settings) *report {
	return &report{
		Machine: figures.Machine(), Started: time.Now().UTC().Truncate(time.Second),
		Rate: s.rate, Seeds: s.seeds, CostUS: float64(s.cost.Nanoseconds()) / 1e3, DelayMS: float64(s.delay.Microseconds()) / 1e3,
		SliceMS: float64(s.slice.Microseconds()) / 1e3, Cycles: s.cycles,
	}
}

func newCaseReport(array, senders int, contenders []*contender) (caseReport, error) {
	r := caseReport{Array: array, Senders: senders}
	byName := map[string]*contender{}
	for _, c := range contenders {
		byName[c.name] = c
	}
	for _, c := range contenders {
		one := contenderReport{
			Name:      c.name,
			Taken:     figures.Of(c.turns, func(t turn) float64 { return t.taken }),
			Arrived:   figures.Of(c.turns, func(t turn) float64 { return t.arrived }),
			P50:       float64(c.latencies.ValueAtQuantile(50)) / 1e3,
			P99:       float64(c.latencies.ValueAtQuantile(99)) / 1e3,
			Posts:     figures.Of(c.turns, func(t turn) float64 { return t.posts }),
			SenderCPU: figures.Of(c.turns, func(t turn) float64 { return t.senderCPU }),
			SinkCPU:   figures.Of(c.turns, func(t turn) float64 { return t.sinkCPU }),
		}
		for _, t := range c.turns {
			one.Events += t.events
		}
		if c.gateway != nil {
			cpu := figures.Of(c.turns, func(t turn) float64 { return t.gatewayCPU })
			one.GatewayCPU = &cpu
			var err error
			if one.PeakRSS, err = c.gateway.PeakRSS(); err != nil {
				return r, err
			}
		}
		one.compare(c, byName)
		r.Contenders = append(r.Contenders, one)
	}
	return r, nil
}

// compare takes the ratios to the direct way, and to another build.
func (r *contenderReport) compare(c *contender, byName map[string]*contender) {
	if base := byName[direct]; base != nil && base != c {
		ratio := func(of func(turn) float64) *figures.Summary {
			s := figures.Ratio(c.turns, base.turns, of)
			return &s
		}
		r.SpeedRatio = ratio(func(t turn) float64 { return t.taken })
		r.SinkRatio = ratio(func(t turn) float64 { return t.sinkCPU })
		r.TotalRatio = ratio(turn.totalCPU)
		var added []float64
		for i, t := range c.turns {
			added = append(added, t.p50-base.turns[i].p50)
		}
		s := figures.Summarize(added)
		r.AddedLatency = &s
	}
	if base := byName["before-"+c.name]; base != nil {
		cpu := figures.Ratio(c.turns, base.turns, func(t turn) float64 { return t.gatewayCPU })
		speed := figures.Ratio(c.turns, base.turns, func(t turn) float64 { return t.arrived })
		r.BeforeRatio, r.BeforeSpeed = &cpu, &speed
	}
}

// markdown writes one table for all cases.
func (r *report) markdown(w io.Writer) error {
	loop := "as fast as answers come"
	if r.Rate > 0 {
		loop = fmt.Sprintf("%g requests a second offered to each", r.Rate)
	}
	seeds := ""
	if r.Seeds {
		seeds = ", with seeds of their own"
	}
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "%s; requests %s%s; the event API spends %g µs on each and takes %g ms; %d cycles of %g ms slices.\n\n",
		r.Machine, loop, seeds, r.CostUS, r.DelayMS, r.Cycles, r.SliceMS)
	fmt.Fprint(out, "| events a request, senders | way | taken/s | arrived/s | p50 µs | p99 µs | CPU µs/event: senders | gateway | event API "+
		"| requests at the event API per 1,000 events | peak RSS MiB | taken/s ÷ direct | event API's CPU ÷ direct | all CPU ÷ direct | added p50 µs |\n"+
		"|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, c := range r.Cases {
		for i, one := range c.Contenders {
			name := fmt.Sprintf("%d, %d", c.Array, c.Senders)
			if i > 0 {
				name = ""
			}
			fmt.Fprintf(out, "| %s | %s | %.0f | %.0f | %.0f | %.0f | %.2f | %s | %.2f | %.1f | %s | %s | %s | %s | %s |\n",
				name, one.Name, one.Taken.Median, one.Arrived.Median, one.P50, one.P99, one.SenderCPU.Median, median(one.GatewayCPU),
				one.SinkCPU.Median, one.Posts.Median, one.memory(), ratio(one.SpeedRatio), ratio(one.SinkRatio), ratio(one.TotalRatio), added(one.AddedLatency))
		}
	}
	r.floods(out)
	for _, c := range r.Cases {
		for _, one := range c.Contenders {
			if one.BeforeRatio != nil {
				fmt.Fprintf(out, "\n%d events a request, %s ÷ before: gateway's CPU %s, arrived/s %s\n", c.Array, one.Name, one.BeforeRatio, one.BeforeSpeed)
			}
		}
	}
	return out.Flush()
}

func (r *contenderReport) memory() string {
	if r.PeakRSS == 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f", float64(r.PeakRSS)/(1<<20))
}

func median(s *figures.Summary) string {
	if s == nil {
		return "–"
	}
	return fmt.Sprintf("%.2f", s.Median)
}

func ratio(s *figures.Summary) string {
	if s == nil {
		return "–"
	}
	return s.String()
}

func added(s *figures.Summary) string {
	if s == nil {
		return "–"
	}
	return fmt.Sprintf("%.0f (%.0f–%.0f)", s.Median, s.Q1, s.Q3)
}
