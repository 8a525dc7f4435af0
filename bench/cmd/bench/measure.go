package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/inngest-gateway/inngest-gateway/bench/app"
	"github.com/inngest-gateway/inngest-gateway/bench/load"
	"github.com/inngest-gateway/inngest-gateway/bench/rig"
	"github.com/inngest-gateway/inngest-gateway/signature"
)

// A mode is how calls come in.
type mode struct {
	name  string
	text  string
	close bool
	gzip  bool
}

func modesByName() map[string]mode {
	return map[string]mode{
		"keep":  {"keep", "kept connections", false, false},
		"close": {"close", "a new connection for each call", true, false},
		"gzip":  {"gzip", "kept connections, gzip offered", false, true},
	}
}

// gzipFrom is the size from which gzip is worth a case: the gateway compresses
// no smaller answers.
const gzipFrom = 32 << 10

// measure runs every case, one after the other, with fresh processes for each.
func measure(ctx context.Context, s settings, dir string, progress io.Writer) (*report, error) {
	var secret [32]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return nil, err
	}
	keyText := "signkey-bench-" + hex.EncodeToString(secret[:])
	key, err := signature.ParseKey(keyText)
	if err != nil {
		return nil, err
	}
	if s.gateway == "" && slices.Contains(s.contenders, "gateway") {
		if s.gateway, err = rig.BuildGateway(ctx, dir); err != nil {
			return nil, err
		}
	}
	r := newReport(s)
	for _, m := range s.modes {
		for _, size := range s.sizes {
			if m.gzip && size < gzipFrom {
				continue
			}
			fmt.Fprintf(progress, "%s, %s\n", sizeText(size), m.text)
			form := load.Form{Path: app.Path, Size: size, Close: m.close, Gzip: m.gzip, Key: key}
			one, err := runCase(ctx, s, m, form, keyText, dir)
			if err != nil {
				return nil, fmt.Errorf("%s, %s: %w", sizeText(size), m.text, err)
			}
			r.Cases = append(r.Cases, one)
			s.profile = "" // of the first case only
		}
	}
	return r, nil
}

// runCase gives all contenders their turns: one that does not count, then the
// cycles, every second one in reverse order, so that what the machine does
// meanwhile hits all alike.
func runCase(ctx context.Context, s settings, m mode, form load.Form, keyText, dir string) (result caseReport, err error) {
	a, err := open(ctx, s, form, keyText, dir)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	order := slices.Clone(a.contenders)
	for cycle := -1; cycle < s.cycles; cycle++ {
		for _, c := range order {
			if err := a.compete(ctx, c, s.slice, cycle >= 0); err != nil {
				return result, err
			}
		}
		slices.Reverse(order)
	}
	result, err = newCaseReport(m, form.Size, a.contenders)
	if err != nil || s.profile == "" || a.gateway == nil {
		return result, err
	}
	return result, profile(ctx, s, a)
}

// profile loads the gateway once more and lets it watch itself.
func profile(ctx context.Context, s settings, a *arena) error {
	at := slices.IndexFunc(a.contenders, func(c *contender) bool { return c.name == "gateway" })
	done := make(chan error, 1)
	go func() {
		_, err := a.contenders[at].load.Run(ctx, s.profileFor+s.slice)
		done <- err
	}()
	text, err := a.gateway.Profile(ctx, s.profileFor)
	if err := errors.Join(err, <-done); err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	return os.WriteFile(s.profile, text, 0o644)
}
