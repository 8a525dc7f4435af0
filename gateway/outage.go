package gateway

import (
	"context"
	"time"
)

// Times of watching Inngest. A server that comes back has its apps back after
// at most one interval.
const (
	pingInterval = 10 * time.Second
	pingTimeout  = 5 * time.Second
)

// watchInngest notices when an environment that could not be reached answers
// again, and has the apps told to it: a server may have lost its memory. An
// outage between two pings counts too, if anybody else met it.
func (g *Gateway) watchInngest(ctx context.Context, e *environment) error {
	ticker := time.NewTicker(g.pingEvery)
	defer ticker.Stop()
	down := false
	var met time.Time // the last failure that was acted on
	for {
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
