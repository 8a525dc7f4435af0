// Command bench compares what a call costs through the gateway, through
// net/http/httputil.ReverseProxy and directly to the app: processor time per
// call, throughput, latencies, peak memory. How it measures, and figures of a
// run, are in bench/README.md.
//
// It plays the app and the reverse proxy itself, in processes of their own; the
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
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

func roles() map[string]rig.Role {
	return map[string]rig.Role{
		"app": func(ctx context.Context, ln net.Listener, _ []string) error {
			return app.Serve(ctx, ln, app.Options{})
		},
		"reverseproxy": serveReverseProxy,
	}
}

// settings are what the command line says.
type settings struct {
	contenders []string
	sizes      []int
	modes      []mode
	callers    int
	rate       float64
	slice      time.Duration
	cycles     int
	gateway    string // binary; empty: build one
	before     string // another binary of it; empty: none
	profile    string // file; empty: none
	profileFor time.Duration
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	s, asJSON, err := parse(args, stderr)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "gateway-bench")
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
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	contenders := f.String("contenders", "direct,reverseproxy,gateway", "who is compared; nginx is known too, if it is installed")
	sizes := f.String("sizes", "1KiB,64KiB,1MiB", "sizes of bodies, both ways")
	modes := f.String("modes", "keep,close,gzip", "keep: connections are kept; close: a new one for each call, as the server does; gzip: kept, and gzip is offered (not below 64KiB)")
	f.IntVar(&s.callers, "callers", 16, "calls at once")
	f.Float64Var(&s.rate, "rate", 0, "calls a second for each contender (open loop); 0: as fast as answers come")
	f.DurationVar(&s.slice, "slice", 500*time.Millisecond, "length of a contender's turn")
	f.IntVar(&s.cycles, "cycles", 15, "turns of each contender")
	f.StringVar(&s.gateway, "gateway", "", "binary of the gateway; one is built without it")
	f.StringVar(&s.before, "before", "", "another binary of the gateway, to compare with as contender \"before\"")
	f.StringVar(&s.profile, "profile", "", "write a profile of the gateway's processor time in the first of all cases to this file")
	f.DurationVar(&s.profileFor, "profile-for", 20*time.Second, "length of that profile")
	quick := f.Bool("quick", false, "two short turns of each, to see whether it works; the figures mean nothing")
	f.BoolVar(&asJSON, "json", false, "write JSON instead of Markdown")
	if err := f.Parse(args); err != nil {
		return s, false, err
	}
	if f.NArg() > 0 {
		return s, false, fmt.Errorf("unknown argument %q", f.Arg(0))
	}
	if *quick {
		s.slice, s.cycles, s.callers = 50*time.Millisecond, 2, 4
	}
	if s.cycles < 1 || s.callers < 1 || s.slice <= 0 || s.rate < 0 {
		return s, false, errors.New("-cycles, -callers and -slice must be positive, -rate not negative")
	}
	s.contenders = strings.Split(*contenders, ",")
	if s.before != "" {
		s.contenders = append(s.contenders, "before")
	}
	for _, name := range strings.Split(*modes, ",") {
		m, ok := modesByName()[name]
		if !ok {
			return s, false, fmt.Errorf("-modes: unknown mode %q", name)
		}
		s.modes = append(s.modes, m)
	}
	for _, text := range strings.Split(*sizes, ",") {
		n, err := parseSize(text)
		if err != nil {
			return s, false, fmt.Errorf("-sizes: %w", err)
		}
		s.sizes = append(s.sizes, n)
	}
	return s, asJSON, nil
}

// A size is written as the gateway's settings are.
func parseSize(text string) (int, error) {
	unit := 1
	digits := text
	for suffix, bytes := range map[string]int{"KiB": 1 << 10, "MiB": 1 << 20} {
		if d, ok := strings.CutSuffix(text, suffix); ok {
			digits, unit = d, bytes
		}
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n <= 0 || n > 8<<20/unit {
		return 0, fmt.Errorf("%q is no size up to 8MiB", text)
	}
	return n * unit, nil
}

func sizeText(n int) string {
	switch {
	case n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d B", n)
}
