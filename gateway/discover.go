package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/functions/spec"
	"github.com/inngest-gateway/inngest-gateway/statefile"
)

const (
	manifestPath = "/.well-known/inngest-functions"
	maxManifest  = MiB
	// rediscover is how soon a backend is asked again that has never said what
	// its functions are.
	rediscover = 5 * time.Second
)

// runHosted serves a function app: it has it synced, looks for functions that
// backends publish, and waits for calls that are running when ctx ends.
func (g *Gateway) runHosted(ctx context.Context, h *hosted) error {
	ran := make(chan error, 1)
	go func() { ran <- h.host.Run(ctx) }()
	g.lookForAll(ctx, h)
	g.apps.Sync(h.ID)
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-h.nextLook():
			if g.lookForAll(ctx, h) {
				g.apps.Sync(h.ID)
			}
		}
	}
	return <-ran
}

// nextLook returns what delivers when backends are to be asked again.
func (h *hosted) nextLook() <-chan time.Time {
	h.mu.Lock()
	missing := len(h.published) < len(h.Discover.URLs)
	h.mu.Unlock()
	switch interval := h.Discover.Interval; {
	case len(h.Discover.URLs) == 0:
		return nil
	case missing && (interval == 0 || interval > rediscover):
		return time.After(rediscover)
	case interval == 0:
		return nil
	default:
		return time.After(interval)
	}
}

// lookForAll asks every backend that publishes functions and takes what is new.
// It tells whether Inngest has to hear of it. A backend that does not answer
// keeps the functions that it published last.
func (g *Gateway) lookForAll(ctx context.Context, h *hosted) bool {
	var all sync.WaitGroup
	for _, base := range h.Discover.URLs {
		all.Go(func() {
			text, err := h.fetchManifest(ctx, base)
			if err == nil {
				err = g.publish(h, base, text)
			}
			if err != nil && ctx.Err() == nil {
				g.log.Warn("functions of a backend not read; those that it published last are kept", "app", h.ID, "backend", base, "err", err)
			}
		})
	}
	all.Wait()
	if len(h.Discover.URLs) == 0 || ctx.Err() != nil {
		return false
	}
	list, err := h.functions(g.cfg)
	var clash *clashError
	if errors.As(err, &clash) {
		g.log.Error("two functions of one id", "app", h.ID, "err", err)
	} else if err != nil {
		g.log.Error("published functions cannot be served", "app", h.ID, "err", err)
		return false
	}
	changed, err := h.host.Swap(list)
	if err != nil {
		g.log.Error("published functions cannot be served", "app", h.ID, "err", err)
	}
	return changed
}

// fetchManifest asks a backend for its functions.
func (h *hosted) fetchManifest(ctx context.Context, base string) ([]byte, error) {
	origin, path, err := originOf(base)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, h.Discover.Timeout)
	defer cancel()
	a, err := h.backends[origin].Do(ctx, &call.Call{
		App:         h.ID,
		Method:      http.MethodGet,
		Target:      []byte(strings.TrimRight(path, "/") + manifestPath),
		Head:        []byte("Accept: application/json\r\n"),
		Received:    time.Now(),
		WholeAnswer: true,
	})
	if err != nil {
		return nil, err
	}
	defer a.Release()
	switch {
	case a.Status != http.StatusOK:
		return nil, fmt.Errorf("%s answered %d", manifestPath, a.Status)
	case len(a.Body) > maxManifest:
		return nil, fmt.Errorf("%s has more than %d bytes", manifestPath, maxManifest)
	}
	return slices.Clone(a.Body), nil
}

// publish takes a backend's manifest, and keeps it for a start at which the
// backend is away: Inngest would drop functions that are not registered.
func (g *Gateway) publish(h *hosted, base string, text []byte) error {
	list, err := h.readManifest(text, base)
	if err != nil {
		return err
	}
	h.mu.Lock()
	h.published[base] = list
	h.mu.Unlock()
	file := g.manifestFile(h, base)
	if file == "" {
		return nil
	}
	if old, err := os.ReadFile(file); err == nil && string(old) == string(text) {
		return nil
	}
	if err := statefile.Save(file, text); err != nil {
		g.log.Error("published functions not saved", "app", h.ID, "backend", base, "err", err)
	}
	return nil
}

// readManifest returns an error that names all that is wrong.
func (h *hosted) readManifest(text []byte, base string) ([]spec.Function, error) {
	list, problems := spec.Reader{App: h.ID}.ReadManifest(text, base)
	if problems != nil {
		return nil, problems
	}
	return list, nil
}

// readPublished takes what was kept of the backends' functions.
func (g *Gateway) readPublished(h *hosted) {
	for _, base := range h.Discover.URLs {
		file := g.manifestFile(h, base)
		if file == "" {
			return
		}
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var list []spec.Function
		if err == nil {
			list, err = h.readManifest(text, base)
		}
		if err != nil {
			g.log.Warn("kept functions of a backend cannot be read", "app", h.ID, "backend", base, "file", file, "err", err)
			continue
		}
		h.published[base] = list
	}
}

// manifestFile is where a backend's functions are kept, empty without a
// state_dir.
func (g *Gateway) manifestFile(h *hosted, base string) string {
	if g.cfg.StateDir == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(h.ID + "\x00" + base))
	return filepath.Join(g.cfg.StateDir, "functions", hex.EncodeToString(sum[:8])+".json")
}

// originOf splits a URL into what a pool connects to, as package spec writes it,
// and what it asks for.
func originOf(text string) (origin, target string, err error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return "", "", fmt.Errorf("%q is no http or https URL", text)
	}
	return u.Scheme + "://" + strings.ToLower(u.Host), u.RequestURI(), nil
}
