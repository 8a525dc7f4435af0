package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/inngest-gateway/inngest-gateway/config"
	"github.com/inngest-gateway/inngest-gateway/devserver"
	"github.com/inngest-gateway/inngest-gateway/gateway"
)

// invokeWhole runs one function from its beginning to its end, in a gateway
// and a development server of their own.
func (e env) invokeWhole(ctx context.Context, s config.Sources, function, event string, data json.RawMessage) error {
	s.Env = append(anyAddress(), s.Env...)
	d, err := gateway.NewDev(gateway.DevOptions{
		Sources: s, Listen: "127.0.0.1:0", Version: version, Out: e.stdout, LogTo: e.stderr, Terse: true,
	})
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		ended <- d.Run(running)
		stop() // a Dev that ends by itself ends the wait for the run
	}()
	run, err := d.Invoke(running, function, event, data)
	away := d.Away()
	stop()
	devErr := <-ended
	switch {
	case errors.Is(err, context.DeadlineExceeded) && len(away) > 0:
		return fmt.Errorf("invoke: %s has not ended in time (--timeout); there is no connection to %s", function, strings.Join(away, ", "))
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("invoke: %s has not ended in time (--timeout)", function)
	case devErr != nil:
		return devErr
	case err != nil:
		return fmt.Errorf("invoke: %w", err)
	case run.Status != devserver.Completed:
		return fmt.Errorf("invoke: run %s of %s: %s: %s", run.ID, run.Function, run.Status, compact(run.Error))
	}
	_, err = fmt.Fprintf(e.stdout, "%s\n", compact(run.Output))
	return err
}

// anyAddress are variables that let a gateway listen where nobody else does.
func anyAddress() []string {
	var set []string
	for _, listener := range []string{"inngest", "apps", "admin"} {
		set = append(set, config.VariableOf("listen."+listener)+"=127.0.0.1:0")
	}
	return set
}

// compact writes JSON in one line.
func compact(text json.RawMessage) string {
	var b bytes.Buffer
	if json.Compact(&b, text) != nil {
		return string(text)
	}
	return b.String()
}
