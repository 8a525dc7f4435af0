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
	Config     func(inngestURL, appURL string) (*config.Config, error) // with the server's URL, and the sample app's or none
	Listen     string                                                  // address of the development server
	SigningKey string                                                  // signkey-<env>-<hex>
	EventKey   string
	Sample     bool // serve the sample app, and send it an event
	Version    string
	Out        io.Writer // for people: the URLs, then a line a step
	LogTo      io.Writer
}

// SampleID is the id of the sample app.
const SampleID = "demo"

const samplePath = "/api/inngest"

// A Dev is a gateway with an embedded development server and, where nobody
// brings an app, the sample app. It is for trying things out.
type Dev struct {
	opts    DevOptions
	gateway *Gateway
	server  *devserver.Server

	inngest, app net.Listener // app: of the sample, nil if there is none
	started      time.Time
	ready        chan struct{}
}

// NewDev opens the listeners of the development server and the sample app, and
// builds the gateway between them.
func NewDev(o DevOptions) (*Dev, error) {
	d := &Dev{opts: o, started: time.Now(), ready: make(chan struct{})}
	if err := d.build(); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

func (d *Dev) build() (err error) {
	if d.inngest, err = net.Listen("tcp", d.opts.Listen); err != nil {
		return fmt.Errorf("development server: %w", err)
	}
	appURL := ""
	if d.opts.Sample {
		if d.app, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return fmt.Errorf("sample app: %w", err)
		}
		appURL = urlOf(d.app) + samplePath
	}
	cfg, err := d.opts.Config(urlOf(d.inngest), appURL)
	if err != nil {
		return err
	}
	if d.opts.Sample {
		cfg.Apps[0].ID = SampleID
	}
	d.gateway, err = New(Options{Config: cfg, Version: d.opts.Version, LogTo: d.opts.LogTo})
	return err
}

func (d *Dev) close() error {
	var errs []error
	for _, ln := range []net.Listener{d.inngest, d.app} {
		if ln != nil {
			errs = append(errs, ln.Close())
		}
	}
	return errors.Join(errs...)
}

// Run works until ctx ends: first the gateway drains, then the rest goes.
func (d *Dev) Run(ctx context.Context) error {
	rest, stop := context.WithCancel(context.WithoutCancel(ctx))
	var working sync.WaitGroup
	gatewayEnded := make(chan error, 1)
	go func() { gatewayEnded <- d.gateway.Run(ctx) }()

	var err error
	select {
	case err = <-gatewayEnded:
	case <-d.gateway.Ready():
		if err = d.start(rest, &working); err == nil {
			close(d.ready)
			err = d.demonstrate(ctx)
		}
		if err != nil {
			d.gateway.log.Error("development server cannot go on", "err", err)
		}
		err = errors.Join(err, <-gatewayEnded)
	}
	stop()
	working.Wait()
	return errors.Join(err, ignoreClosed(d.close()))
}

// start starts the development server and the sample app.
func (d *Dev) start(ctx context.Context, working *sync.WaitGroup) error {
	var err error
	if d.server, err = devserver.New(devserver.Options{
		SigningKey: d.opts.SigningKey,
		EventKeys:  []string{d.opts.EventKey},
		AppURLs:    d.appURLs(),
		Observer:   d.show,
		Log:        d.gateway.log.With("part", "development server"),
	}); err != nil {
		return err
	}
	serve(ctx, working, d.inngest, d.server.Handler(), d.gateway.log)
	if d.app != nil {
		app, err := sample.New(sample.Options{
			AppID:      SampleID,
			SigningKey: d.opts.SigningKey,
			BaseURL:    "http://" + d.gateway.AppsAddr(),
			Origin:     urlOf(d.app),
			ServePath:  samplePath,
			Log:        d.gateway.log.With("part", "sample app"),
		})
		if err != nil {
			return err
		}
		serve(ctx, working, d.app, app.Handler(), d.gateway.log)
	}
	working.Go(func() {
		if err := d.server.Run(ctx); err != nil {
			d.gateway.log.Error("development server failed", "err", err)
		}
	})
	return nil
}

// appURLs are the apps as Inngest calls them: at the gateway.
func (d *Dev) appURLs() []string {
	var urls []string
	for _, a := range d.gateway.cfg.Apps {
		urls = append(urls, d.inngestURL()+a.Path)
	}
	return urls
}

// inngestURL is where the development server reaches the gateway.
func (d *Dev) inngestURL() string { return urlOf(d.gateway.listeners.inngest) }

// demonstrate tells people where everything is and, with the sample app, sends
// the first event.
func (d *Dev) demonstrate(ctx context.Context) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Inngest (development server)  %s\n", urlOf(d.inngest))
	fmt.Fprintf(&b, "Gateway, for Inngest          %s\n", strings.Join(d.appURLs(), " "))
	fmt.Fprintf(&b, "Gateway, for apps             %s\n\n", urlOf(d.gateway.listeners.apps))
	if !d.opts.Sample {
		b.WriteString("Start your app with:\n")
		fmt.Fprintf(&b, "  INNGEST_DEV=0 INNGEST_BASE_URL=%s \\\n  INNGEST_SIGNING_KEY=%s INNGEST_EVENT_KEY=%s\n\n",
			urlOf(d.gateway.listeners.apps), d.opts.SigningKey, d.opts.EventKey)
	}
	fmt.Fprintf(&b, "Send an event:\n  curl %s/e/%s -d '{\"name\":\"demo/hello\",\"data\":{\"name\":\"Ada\"}}'\n\n",
		urlOf(d.gateway.listeners.apps), d.opts.EventKey)
	if _, err := io.WriteString(d.opts.Out, b.String()); err != nil {
		return err
	}
	if !d.opts.Sample {
		return nil
	}
	synced := func(apps []devserver.App, _ []devserver.Run) bool { return len(apps) > 0 }
	if err := d.server.WaitFor(ctx, synced); err != nil {
		return ignoreCanceled(ctx, err)
	}
	_, err := postEvent(ctx, urlOf(d.gateway.listeners.apps), d.opts.EventKey, `{"name":"demo/hello","data":{"name":"Ada"}}`)
	return ignoreCanceled(ctx, err)
}

// show prints one line of what happened to a run.
func (d *Dev) show(e devserver.StepEvent) {
	step := e.Step
	if step == "" {
		step = "-"
	}
	line := fmt.Sprintf("+%6d ms  %-14s  %-16s  %-16s  attempt %d", e.At.Sub(d.started).Milliseconds(), e.Function, step, e.Op, e.Attempt+1)
	if e.Error != "" {
		line += "  " + e.Error
	}
	fmt.Fprintln(d.opts.Out, line)
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

func postEvent(ctx context.Context, base, key, event string) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/e/"+key, strings.NewReader(event))
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, fmt.Errorf("first event: %w", err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return resp.StatusCode, fmt.Errorf("first event: the gateway answered %s", resp.Status)
	}
	return resp.StatusCode, nil
}

// urlOf is the URL of a listener for somebody on this host.
func urlOf(ln net.Listener) string {
	addr, ok := ln.Addr().(*net.TCPAddr)
	if !ok {
		return "unix://" + ln.Addr().String()
	}
	if addr.IP.IsUnspecified() {
		return fmt.Sprintf("http://127.0.0.1:%d", addr.Port)
	}
	return "http://" + addr.String()
}

func ignoreCanceled(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
