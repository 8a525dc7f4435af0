package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"path/filepath"
	"sync"
	"time"

	"github.com/inngest-gateway/inngest-gateway/bench/app"
	"github.com/inngest-gateway/inngest-gateway/bench/rig"
	"github.com/inngest-gateway/inngest-gateway/signature"
)

// A trial is one gateway under load.
type trial struct {
	settings
	journal string
	address string // of the app, the same each time it comes back
	random  *mathrand.Rand
	app     *rig.Process // nil while it is away
	gateway *rig.Gateway
	ledger  *ledger
	out     io.Writer
	kills   int
	stops   int
}

// soak runs a trial and returns everything that was not as it must be.
func soak(ctx context.Context, s settings, dir string, out io.Writer) (err error) {
	t := &trial{
		settings: s, out: out, ledger: newLedger(),
		journal: filepath.Join(dir, "journal"),
		random:  mathrand.New(mathrand.NewPCG(s.seed, 0)),
	}
	defer func() { err = errors.Join(err, t.close()) }()
	key, err := t.start(ctx, dir)
	if err != nil {
		return err
	}
	before, err := holdingsOf(ctx, t.gateway)
	if err != nil {
		return err
	}
	if err := t.load(ctx, key); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return errors.New("interrupted: nothing can be said")
	}
	burned, err := t.ledger.audit(t.journal)
	if err != nil {
		return err
	}
	// A stopped app ends its calls first; a killed one takes those with it that
	// it had.
	if most := t.kills * s.callers; burned > most {
		t.ledger.complain(fmt.Errorf("%d calls were begun by the app and refused to their callers; %d kills explain at most %d", burned, t.kills, most))
	}
	answers, _ := t.ledger.counts()
	fmt.Fprintf(out, "%d calls answered; refused: %v; %d begun by an app that was killed meanwhile; %d stops, %d kills\n",
		answers, t.ledger.refusals, burned, t.stops, t.kills)
	return errors.Join(append(t.ledger.failures(), t.aftermath(ctx, before)...)...)
}

// start starts the app and the gateway.
func (t *trial) start(ctx context.Context, dir string) (signature.Key, error) {
	var secret [32]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return signature.Key{}, err
	}
	text := "signkey-soak-" + hex.EncodeToString(secret[:])
	key, err := signature.ParseKey(text)
	if err != nil {
		return key, err
	}
	t.address = "127.0.0.1:0"
	if err := t.appears(ctx); err != nil {
		return key, err
	}
	t.gateway, err = rig.StartGateway(ctx, rig.GatewayOptions{
		Binary: t.binary, File: filepath.Join(dir, "gateway.yaml"), App: t.address, Path: app.Path, Key: text, Memory: fmt.Sprintf("%dMiB", t.memory),
	})
	return key, err
}

// load calls the gateway while the app comes and goes.
func (t *trial) load(ctx context.Context, key signature.Key) error {
	ctx, cancel := context.WithTimeout(ctx, t.length)
	defer cancel()
	var callers []*caller
	for i := range t.callers {
		c, err := newCaller(t.ledger, t.gateway.Inngest, i%2 == 1, key, mathrand.New(mathrand.NewPCG(t.seed, uint64(i)+1)))
		if err != nil {
			return err
		}
		callers = append(callers, c)
	}
	var wg sync.WaitGroup
	for _, c := range callers {
		wg.Go(func() { c.run(ctx) })
	}
	err := t.disturb(ctx)
	cancel()
	wg.Wait()
	return err
}

// disturb takes the app away and brings it back until ctx ends.
func (t *trial) disturb(ctx context.Context) error {
	for round := 1; ; round++ {
		answersBefore, _ := t.ledger.counts()
		stayed := sleep(ctx, t.vary(t.up))
		answers, refusals := t.ledger.counts()
		if answers == answersBefore && stayed {
			t.ledger.complain(fmt.Errorf("round %d: no call was answered while the app was there", round))
		}
		rss, err := t.gateway.RSS()
		if err != nil {
			return err
		}
		fmt.Fprintf(t.out, "round %d: %d answered, %d refused so far; resident %d MiB\n", round, answers, refusals, rss>>20)
		if !stayed {
			return nil
		}
		if err := t.vanishes(); err != nil {
			return err
		}
		sleep(ctx, t.vary(t.down))
		// It comes back even if time is up: what it had not begun is answered.
		if err := t.appears(context.WithoutCancel(ctx)); err != nil {
			return err
		}
	}
}

// appears starts the app where it was before.
func (t *trial) appears(ctx context.Context) error {
	p, err := rig.StartRole("app", t.address, t.journal)
	if err != nil {
		return err
	}
	t.app = p
	t.address, err = p.Address(ctx)
	return err
}

// vanishes ends the app, politely or not.
func (t *trial) vanishes() error {
	gone := t.app
	t.app = nil
	if t.random.IntN(2) == 0 {
		t.kills++
		return gone.Kill()
	}
	t.stops++
	return gone.Stop(20 * time.Second)
}

// vary returns half to one and a half of d.
func (t *trial) vary(d time.Duration) time.Duration {
	return d/2 + time.Duration(t.random.Int64N(int64(d)+1))
}

// sleep tells whether d passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// close ends what is still there.
func (t *trial) close() error {
	const limit = 30 * time.Second
	var errs []error
	if t.gateway != nil {
		errs = append(errs, t.gateway.Stop(limit))
	}
	if t.app != nil {
		errs = append(errs, t.app.Stop(limit))
	}
	return errors.Join(errs...)
}
