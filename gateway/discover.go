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
	"sync/atomic"
	"time"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/functions/spec"
	"github.com/inngest-gateway/inngest-gateway/statefile"
)

const (
	maxManifest = 1 << 20 // bytes
	// rediscover is how soon a backend is asked again that has never said what
	// its functions are.
	rediscover = 5 * time.Second
	maxTold    = 4 << 10 // bytes of what is wrong with a manifest
)

// heard is what a backend said last of its functions.
type heard struct {
	sum [sha256.Size]byte
	err error // what is wrong with it
}

// runHosted serves a function app: it has it synced, looks for functions that
// backends publish, and waits for calls that are running when ctx ends.
func (g *Gateway) runHosted(ctx context.Context, h *hosted) error {
	ran := make(chan error, 1)
	go func() { ran <- h.host.Run(ctx) }()
	g.lookForAll(ctx, h)
	close(h.looked)
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

// Do answers what Inngest asks of the app. A sync that comes while backends are
// asked for the first time waits for them: Inngest would drop the functions that
// it is not told of.
func (h *hosted) Do(ctx context.Context, c *call.Call) (*call.Answer, error) {
	if c.Method == http.MethodPut {
		late := time.NewTimer(h.Discover.Timeout)
		defer late.Stop()
		select {
		case <-h.looked:
		case <-ctx.Done():
		case <-late.C:
		}
	}
	return h.host.Do(ctx, c)
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
	var news atomic.Bool
	for _, base := range h.Discover.URLs {
		all.Go(func() {
			text, err := h.fetchManifest(ctx, base)
			if err == nil {
				var isNew bool
				if isNew, err = g.publish(h, base, text); isNew {
					news.Store(true)
				}
			}
			if err != nil && ctx.Err() == nil {
				g.log.Warn("functions of a backend not read; those that it published last are kept", "app", h.ID, "backend", base, "err", err)
			}
		})
	}
	all.Wait()
	if !news.Load() || ctx.Err() != nil {
		return false
	}
	list, err := g.functionsOf(h)
	if err != nil {
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
		Target:      []byte(strings.TrimRight(path, "/") + spec.ManifestPath),
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
		return nil, fmt.Errorf("%s answered %d", spec.ManifestPath, a.Status)
	case len(a.Body) > maxManifest:
		return nil, fmt.Errorf("%s has more than %d bytes", spec.ManifestPath, maxManifest)
	}
	return slices.Clone(a.Body), nil
}

// publish takes a backend's manifest and tells whether it is another one. It
// keeps it for a start at which the backend is away: Inngest would drop functions
// that are not registered.
func (g *Gateway) publish(h *hosted, base string, text []byte) (isNew bool, err error) {
	if isNew, err = h.readManifest(text, base); !isNew || err != nil {
		return false, err
	}
	file := g.manifestFile(h, base)
	if file == "" {
		return true, nil
	}
	if err := statefile.Save(file, text); err != nil {
		g.log.Error("published functions not saved", "app", h.ID, "backend", base, "err", err)
	}
	return true, nil
}

// readManifest takes a manifest and tells whether it is another one than the
// last. Reading a large one takes seconds: what was read is not read again.
func (h *hosted) readManifest(text []byte, base string) (isNew bool, err error) {
	sum := sha256.Sum256(text)
	h.mu.Lock()
	last, ok := h.heard[base]
	h.mu.Unlock()
	if ok && last.sum == sum {
		return false, last.err
	}
	list, problems := spec.Reader{App: h.ID}.ReadManifest(text, base)
	if problems != nil {
		err = shortened(problems)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.heard[base] = heard{sum, err}
	if err == nil {
		h.published[base] = list
	}
	return err == nil, err
}

// shortened makes an error of problems that says as many as fit into a line of
// a log: whoever wrote the manifest is not to fill that.
func shortened(problems spec.Problems) error {
	text := problems.Error()
	if len(text) <= maxTold {
		return problems
	}
	return fmt.Errorf("%s…\n%d problems in all", strings.ToValidUTF8(text[:maxTold], ""), len(problems))
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
		if err == nil {
			_, err = h.readManifest(text, base)
		}
		if err != nil {
			g.log.Warn("kept functions of a backend cannot be read", "app", h.ID, "backend", base, "file", file, "err", err)
		}
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
