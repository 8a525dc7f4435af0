// Command program measures what a run of ten steps costs as a program that the
// gateway hosts, beside the same function on the Go SDK behind the gateway: calls,
// checkpoints, time of a run, processor time. Each step POSTs to the same backend.
// Figures of a run are in bench/README.md.
//
// It is the Inngest server itself, package devserver, and plays the backend and
// the app on the SDK in processes of their own. It is here and not in bench
// because only this module has the SDK.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/inngest-gateway/inngest-gateway/bench/rig"
)

func main() {
	played, err := rig.Play(roles())
	if !played {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		err = run(ctx, os.Args[1:], os.Stdout)
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "program: %v\n", err)
		os.Exit(1)
	}
}

func roles() map[string]rig.Role {
	return map[string]rig.Role{"backend": serveBackend, "sdk": serveSDK}
}

// settings are what the command line says.
type settings struct {
	contenders []string
	runs       int // at once
	slice      time.Duration
	cycles     int
	gateway    string // binary; empty: build one
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	var s settings
	f := flag.NewFlagSet("program", flag.ContinueOnError)
	f.SetOutput(stdout)
	contenders := f.String("contenders", strings.Join(names(), ","), "who is compared; plain: without checkpoints")
	f.IntVar(&s.runs, "runs", 8, "runs at once")
	f.DurationVar(&s.slice, "slice", time.Second, "length of a contender's turn")
	f.IntVar(&s.cycles, "cycles", 9, "turns of each contender")
	f.StringVar(&s.gateway, "gateway", "", "binary of the gateway; one is built without it")
	quick := f.Bool("quick", false, "two short turns of each, to see whether it works; the figures mean nothing")
	asJSON := f.Bool("json", false, "write JSON instead of Markdown")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *quick {
		s.runs, s.slice, s.cycles = 2, 50*time.Millisecond, 2
	}
	if s.runs < 1 || s.slice <= 0 || s.cycles < 1 || f.NArg() > 0 {
		return errors.New("-runs, -slice and -cycles must be positive, and nothing else is taken")
	}
	for _, name := range strings.Split(*contenders, ",") {
		if _, ok := contenderEvents()[name]; !ok {
			return fmt.Errorf("-contenders: unknown contender %q", name)
		}
		s.contenders = append(s.contenders, name)
	}
	dir, err := os.MkdirTemp("", "gateway-program")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	report, err := measure(ctx, s, dir)
	if err != nil {
		return err
	}
	if *asJSON {
		e := json.NewEncoder(stdout)
		e.SetIndent("", "\t")
		return e.Encode(report)
	}
	return report.markdown(stdout)
}
