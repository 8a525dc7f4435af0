// Command events measures what it costs to send events to Inngest through the
// gateway, beside the same senders that send them straight to the event API:
// events a second, processor time of senders, gateway and event API, the latency
// of a lone event, and how many requests the event API sees. How it measures, and
// figures of a run, are in bench/README.md.
//
// It is the senders itself and plays the event API in a process of its own; the
// load is package load's, the processes are package rig's.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/inngest-gateway/inngest-gateway/bench/app"
	"github.com/inngest-gateway/inngest-gateway/bench/rig"
)

func main() {
	played, err := rig.Play(roles())
	if !played {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		err = run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "events: %v\n", err)
		os.Exit(1)
	}
}

func roles() map[string]rig.Role {
	return map[string]rig.Role{
		"sink": func(ctx context.Context, ln net.Listener, args []string) error {
			cost, err := time.ParseDuration(args[0])
			if err != nil {
				return err
			}
			delay, err := time.ParseDuration(args[1])
			if err != nil {
				return err
			}
			return app.Serve(ctx, ln, app.Options{EventCost: cost, EventDelay: delay})
		},
	}
}

// settings are what the command line says.
type settings struct {
	contenders []string
	arrays     []int
	lone       bool
	flood      []string // events.memory of gateways that get more than fits
	senders    int
	rate       float64
	seeds      bool
	cost       time.Duration
	delay      time.Duration
	slice      time.Duration
	cycles     int
	gateway    string // binary; empty: build one
	before     string // another binary of it; empty: none
	set        string // further settings under events
	dir        string // where state_dir is made
	profile    string // file; empty: none
	allocs     string // the same for what it allocates
	profiled   string // the contender that is profiled
	profileFor time.Duration
}

// Contenders with a gateway, by name: its mode.
func spoolModes() map[string]string {
	return map[string]string{
		"memory": "", "hybrid": "hybrid", "durable": "durable",
		"before-memory": "", "before-hybrid": "hybrid", "before-durable": "durable",
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	s, asJSON, err := parse(args, stderr)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(s.dir, "gateway-events")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	report, err := measure(ctx, s, dir, stderr)
	if err != nil {
		return err
	}
	if asJSON {
		e := json.NewEncoder(stdout)
		e.SetIndent("", "\t")
		return e.Encode(report)
	}
	return report.markdown(stdout)
}

func parse(args []string, stderr io.Writer) (s settings, asJSON bool, err error) {
	f := flag.NewFlagSet("events", flag.ContinueOnError)
	f.SetOutput(stderr)
	contenders := f.String("contenders", "direct,hybrid,durable", "who is compared: direct, and gateways by their mode: hybrid, durable, memory (no state_dir)")
	arrays := f.String("arrays", "1,10,20,100", "events in a request")
	f.BoolVar(&s.lone, "lone", true, "first, one sender of single events: the latency of an event that comes alone")
	flood := f.String("flood", "8MiB,32MiB", "last, gateways with these bounds (events.memory) that get more than fits: their memory; empty: none")
	f.IntVar(&s.senders, "senders", 64, "requests at once")
	f.Float64Var(&s.rate, "rate", 0, "requests a second for each contender (open loop); 0: as fast as answers come")
	f.BoolVar(&s.seeds, "seeds", false, "requests bring seeds, as those of the JavaScript SDK do")
	f.DurationVar(&s.cost, "cost", 0, "processor time that the event API spends on each request beside HTTP")
	f.DurationVar(&s.delay, "delay", 0, "time that the event API takes for each request, as a distant one does")
	f.DurationVar(&s.slice, "slice", 500*time.Millisecond, "length of a contender's turn")
	f.IntVar(&s.cycles, "cycles", 9, "turns of each contender")
	f.StringVar(&s.gateway, "gateway", "", "binary of the gateway; one is built without it")
	f.StringVar(&s.before, "before", "", `another binary of the gateway, for contenders "before-hybrid", "before-durable", "before-memory"`)
	f.StringVar(&s.set, "set", "", "further settings under events, as in YAML between braces: batch: {in_flight: 8}")
	f.StringVar(&s.dir, "dir", "", "folder for state_dir, on the disk that is to be measured; the system's one for temporary files without it")
	f.StringVar(&s.profile, "profile", "", "write a profile of a gateway's processor time in the last case to this file")
	f.StringVar(&s.allocs, "allocs", "", "write a profile of what that gateway allocates in the last case to this file")
	f.StringVar(&s.profiled, "profiled", "hybrid", "the contender that is profiled")
	f.DurationVar(&s.profileFor, "profile-for", 10*time.Second, "length of that profile")
	quick := f.Bool("quick", false, "two short turns of each, to see whether it works; the figures mean nothing")
	f.BoolVar(&asJSON, "json", false, "write JSON instead of Markdown")
	if err := f.Parse(args); err != nil {
		return s, false, err
	}
	if f.NArg() > 0 {
		return s, false, fmt.Errorf("unknown argument %q", f.Arg(0))
	}
	if *quick {
		s.slice, s.cycles, s.senders = 50*time.Millisecond, 2, 8
	}
	if s.cycles < 1 || s.senders < 1 || s.slice <= 0 || s.rate < 0 || s.cost < 0 || s.delay < 0 {
		return s, false, errors.New("-cycles, -senders and -slice must be positive, -rate, -cost and -delay not negative")
	}
	if *flood != "" {
		s.flood = strings.Split(*flood, ",")
	}
	s.contenders = strings.Split(*contenders, ",")
	for _, name := range s.contenders {
		if _, ok := spoolModes()[name]; !ok && name != direct || strings.HasPrefix(name, "before-") && s.before == "" {
			return s, false, fmt.Errorf("-contenders: unknown contender %q, or it needs -before", name)
		}
	}
	if s.profile+s.allocs != "" && (!slices.Contains(s.contenders, s.profiled) || s.profiled == direct) {
		return s, false, fmt.Errorf("-profiled: %q is no gateway among the contenders", s.profiled)
	}
	for _, text := range strings.Split(*arrays, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 5000 {
			return s, false, fmt.Errorf("-arrays: %q is no number from 1 to 5000", text)
		}
		s.arrays = append(s.arrays, n)
	}
	return s, asJSON, nil
}
