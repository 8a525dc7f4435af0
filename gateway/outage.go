package gateway

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"time"
)

// Times of watching Inngest. A server that comes back has its apps back after
// at most one interval.
const (
	pingInterval = 10 * time.Second
	pingTimeout  = 5 * time.Second
	// A server that is restarted between two pings shows no outage. With each
	// so many pings it is asked whether it still knows its apps, so that it has
	// their crons back within a minute.
	askEvery = 3
	// tellAgain is the least time between two registrations of an app that the
	// server says not to know: it may have its reasons.
	tellAgain = time.Minute
)

// watchInngest notices when an environment that could not be reached answers
// again, and has the apps told to it: a server may have lost its memory. An
// outage between two pings counts too, if anybody else met it.
func (g *Gateway) watchInngest(ctx context.Context, e *environment) error {
	ticker := time.NewTicker(g.pingEvery)
	defer ticker.Stop()
	down := false
	var met time.Time              // the last failure that was acted on
	told := map[string]time.Time{} // apps that the server did not know, and when they were told again
	for n := 1; ; n++ {
		failed := e.client.Reach().Failed
		err := pingOnce(ctx, e)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !down:
			g.log.Warn("inngest cannot be reached", "environment", e.name, "url", e.APIURL, "err", err)
			down = true
		case err == nil && (down || failed.After(met)):
			g.log.Info("inngest can be reached again; its apps are told again", "environment", e.name, "url", e.APIURL)
			g.apps.NotifyRecovered()
			down, met = false, e.client.Reach().Failed
		case err == nil && n%askEvery == 0:
			g.tellForgotten(ctx, e, told)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func pingOnce(ctx context.Context, e *environment) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	return e.client.Ping(ctx)
}

// tellForgotten has the apps told again that an environment was told of and
// does not know.
func (g *Gateway) tellForgotten(ctx context.Context, e *environment, told map[string]time.Time) {
	for id, name := range g.apps.Told(e.client) {
		if at, ok := told[id]; ok && time.Since(at) < tellAgain || g.isKnown(ctx, e, name) {
			continue
		}
		g.log.Warn("inngest has forgotten an app, which is told again", "environment", e.name, "app", id)
		told[id] = time.Now()
		g.apps.TellAgain(id)
	}
}

// isKnown asks for the functions of an app. Only a list without any says that
// the app is not known: not every server answers this.
func (g *Gateway) isKnown(ctx context.Context, e *environment, name string) bool {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	status, answer, err := e.client.Ask(ctx, http.MethodGet, "/v1/apps/"+url.PathEscape(name)+"/functions", nil)
	answer = bytes.TrimSpace(answer)
	return err != nil || status != http.StatusOK || !bytes.Equal(answer, []byte("[]")) && !bytes.Equal(answer, []byte("null"))
}
