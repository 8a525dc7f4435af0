package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/inngest-gateway/inngest-gateway/config"
	"github.com/inngest-gateway/inngest-gateway/devserver"
	"github.com/inngest-gateway/inngest-gateway/devserver/sample"
)

// DevOptions configures a Dev.
type DevOptions struct {
	Sources config.Sources // of the gateway's configuration; what belongs to the real Inngest is replaced
	Listen  string         // address of the development server
	Version string
	Out     io.Writer // for people: the URLs, then a line a step
	LogTo   io.Writer
	Terse   bool // tell of runs alone, and send the sample app no event
}

// SampleID is the id of the sample app.
const SampleID = "demo"

const samplePath = "/api/inngest"

// firstEvent is what the sample app is sent.
const firstEvent = `{"name":"demo/hello","data":{"name":"Ada"}}`

// terseDrain is how long calls may go on when the one run is over, or nobody
// waits for it any longer.
const terseDrain = time.Second

// tellWaitAfter is how long an end may take before people are told why.
const tellWaitAfter = time.Second

// A Dev is a gateway with an embedded development server and, where the
// configuration has no app, the sample app. It is for trying things out.
type Dev struct {
	opts    DevOptions
	config  *devConfig
	gateway *Gateway
	server  *devserver.Server
	tell    *teller

	inngest, app net.Listener  // app: of the sample, nil if there is none
	ready        chan struct{} // closed when everything works
}

// NewDev opens the listeners of the development server and the sample app, and
// builds the gateway between them.
func NewDev(o DevOptions) (*Dev, error) {
	if o.Out == nil {
		return nil, errors.New("gateway: Out is missing")
	}
	d := &Dev{opts: o, tell: newTeller(o.Out, o.Terse), ready: make(chan struct{})}
	if err := d.build(); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

func (d *Dev) build() (err error) {
	if d.inngest, err = net.Listen("tcp", d.opts.Listen); err != nil {
		return fmt.Errorf("development server: %w; choose another address with --inngest-listen", err)
	}
	if d.config, err = newDevConfig(d.opts.Sources, urlOf(d.inngest), d.listenForSample); err != nil {
		return err
	}
	if d.opts.Terse {
		d.config.Drain.Calls = terseDrain
	}
	d.gateway, err = New(Options{Config: d.config.Config, Version: d.opts.Version, LogTo: d.opts.LogTo})
	if err == nil {
		d.gateway.forgetful = true
	}
	return err
}

// listenForSample opens the sample app's listener and returns the app's URL.
func (d *Dev) listenForSample() (url string, err error) {
	if d.app, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return "", fmt.Errorf("sample app: %w", err)
	}
	return urlOf(d.app) + samplePath, nil
}

func (d *Dev) close() error {
	var errs []error
	for _, ln := range []net.Listener{d.inngest, d.app} {
		if ln != nil {
			errs = append(errs, closeListener(ln))
		}
	}
	return errors.Join(errs...)
}

// Run works until ctx ends: first the gateway drains, then the rest goes.
func (d *Dev) Run(ctx context.Context) error {
	ctx, stopGateway := context.WithCancel(ctx)
	defer stopGateway()
	// The development server waits for the calls that the gateway still runs.
	rest, stopRest := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRest()
	var working sync.WaitGroup
	ended := make(chan error, 1)
	go func() {
		ended <- d.gateway.Run(ctx)
		stopGateway()
	}()

	var err, gatewayErr error
	select {
	case gatewayErr = <-ended:
	case <-d.gateway.Ready():
		if err = d.start(rest, &working); err == nil {
			err = d.greet(ctx)
		}
		if err != nil {
			stopGateway()
		}
		<-ctx.Done()
		select {
		case gatewayErr = <-ended:
		case <-time.After(tellWaitAfter):
			d.tell.printf("Waiting for running calls to end: %d. Interrupt again to end at once.\n", d.gateway.inbound.InFlight())
			gatewayErr = <-ended
		}
	}
	stopRest()
	working.Wait()
	if err == nil {
		err = gatewayErr
	}
	return errors.Join(err, d.close())
}

// start starts the development server and the sample app, and tells people
// where everything is.
func (d *Dev) start(ctx context.Context, working *sync.WaitGroup) error {
	log := d.gateway.log
	var err error
	if d.server, err = devserver.New(devserver.Options{
		SigningKey: d.config.signingKey,
		EventKeys:  []string{d.config.eventKey},
		AppURLs:    d.appURLs(),
		Observer:   d.observe,
		Log:        log.With("part", "development server"),
	}); err != nil {
		return err
	}
	if d.app != nil {
		app, err := sample.New(sample.Options{
			AppID:      SampleID,
			SigningKey: d.config.signingKey,
			BaseURL:    d.appsURL(),
			Origin:     urlOf(d.app),
			ServePath:  samplePath,
			Log:        log.With("part", "sample app"),
		})
		if err != nil {
			return err
		}
		serve(ctx, working, d.app, app.Handler(), log)
	}
	serve(ctx, working, d.inngest, d.server.Handler(), log)
	if !d.opts.Terse {
		d.tell.printf("%s", d.welcome())
	}
	working.Go(func() {
		if err := d.server.Run(ctx); err != nil {
			log.Error("development server failed", "err", err)
		}
	})
	working.Go(func() { d.announce(ctx) })
	close(d.ready)
	return nil
}

// appURLs are the apps as Inngest calls them: at the gateway.
func (d *Dev) appURLs() []string {
	var urls []string
	for _, a := range d.config.Apps {
		urls = append(urls, urlOf(d.gateway.listeners.inngest)+a.Path)
	}
	for _, a := range d.config.FunctionApps {
		urls = append(urls, urlOf(d.gateway.listeners.inngest)+a.Path)
	}
	return urls
}

// appsURL is where apps find Inngest: the gateway's apps listener.
func (d *Dev) appsURL() string { return urlOf(d.gateway.listeners.apps) }

// greet sends the sample app its first event.
func (d *Dev) greet(ctx context.Context) error {
	if d.app == nil || d.opts.Terse {
		return nil
	}
	synced := func(apps []devserver.App, _ []devserver.Run) bool { return len(apps) > 0 }
	err := d.server.WaitFor(ctx, synced)
	if err == nil {
		err = postEvent(ctx, d.appsURL()+"/e/"+d.config.eventKey, firstEvent)
	}
	if ctx.Err() != nil || d.gateway.draining.Load() {
		return nil // interrupted, or the gateway ends and says why
	}
	return err
}

// announce says of each app when it is registered, until it was said of all.
func (d *Dev) announce(ctx context.Context) {
	for {
		count, _ := d.tell.knows("")
		if count >= d.config.served() {
			return
		}
		err := d.server.WaitFor(ctx, func(apps []devserver.App, _ []devserver.Run) bool { return len(apps) > count })
		if err != nil {
			return // ctx has ended
		}
		d.tell.registered(d.server.Apps())
	}
}

// observe tells what happened to a run; that its app is registered comes first.
func (d *Dev) observe(e devserver.StepEvent) {
	if _, known := d.tell.knows(e.App); !known {
		d.tell.registered(d.server.Apps())
	}
	d.tell.step(e)
}

// serve serves until ctx ends.
func serve(ctx context.Context, working *sync.WaitGroup, ln net.Listener, h http.Handler, log *slog.Logger) {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	working.Go(func() {
		if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			log.Error("development listener failed", "err", err)
		}
	})
	working.Go(func() {
		<-ctx.Done()
		server.Close()
	})
}

func postEvent(ctx context.Context, url, event string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(event))
	if err != nil {
		return err
	}
	req.Close = true // there is no second one
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("first event: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10)) // what came of it says enough
		return fmt.Errorf("first event: the gateway answered %s: %s", resp.Status, oneLine(string(text)))
	}
	return nil
}
