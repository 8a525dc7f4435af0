package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/inngest-gateway/inngest-gateway/bench/rig"
)

// measure runs every case, one after the other, with fresh processes for each.
func measure(ctx context.Context, s settings, dir string, progress io.Writer) (*report, error) {
	if s.gateway == "" {
		var err error
		if s.gateway, err = rig.BuildGateway(ctx, dir); err != nil {
			return nil, err
		}
	}
	r := newReport(s)
	type kind struct{ array, senders int }
	var kinds []kind
	if s.lone {
		kinds = append(kinds, kind{1, 1})
	}
	for _, n := range s.arrays {
		kinds = append(kinds, kind{n, s.senders})
	}
	for i, k := range kinds {
		fmt.Fprintf(progress, "%d senders, %d events a request\n", k.senders, k.array)
		if i < len(kinds)-1 {
			s.profileFor = 0
		}
		one, err := runCase(ctx, s, k.array, k.senders, dir)
		if err != nil {
			return nil, fmt.Errorf("%d senders, %d events a request: %w", k.senders, k.array, err)
		}
		r.Cases = append(r.Cases, one)
	}
	for _, memory := range s.flood {
		fmt.Fprintf(progress, "flood, events.memory %s\n", memory)
		one, err := runFlood(ctx, s, memory, dir)
		if err != nil {
			return nil, fmt.Errorf("flood, events.memory %s: %w", memory, err)
		}
		r.Floods = append(r.Floods, one)
	}
	return r, nil
}

// runCase gives all contenders their turns: one that does not count, then the
// cycles, every second one in reverse order, so that what the machine does
// meanwhile hits all alike.
func runCase(ctx context.Context, s settings, array, senders int, dir string) (result caseReport, err error) {
	a, err := open(ctx, s, array, senders, dir)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	order := slices.Clone(a.contenders)
	for cycle := -1; cycle < s.cycles; cycle++ {
		for _, c := range order {
			if err := a.compete(ctx, c, array, s.slice, cycle >= 0); err != nil {
				return result, err
			}
		}
		slices.Reverse(order)
	}
	result, err = newCaseReport(array, senders, a.contenders)
	if err != nil || s.profile+s.allocs == "" || s.profileFor == 0 {
		return result, err
	}
	return result, profile(ctx, s, a)
}

// profile loads a gateway once more and lets it watch itself.
func profile(ctx context.Context, s settings, a *arena) error {
	c := a.contenders[slices.IndexFunc(a.contenders, func(c *contender) bool { return c.name == s.profiled })]
	done := make(chan error, 1)
	go func() {
		_, err := c.load.Run(ctx, s.profileFor+s.slice)
		done <- err
	}()
	text, err := c.gateway.Profile(ctx, s.profileFor)
	if err := errors.Join(err, <-done); err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	if s.profile != "" {
		if err := os.WriteFile(s.profile, text, 0o644); err != nil {
			return err
		}
	}
	if s.allocs == "" {
		return nil
	}
	if text, err = c.gateway.Allocations(ctx); err != nil {
		return err
	}
	return os.WriteFile(s.allocs, text, 0o644)
}
