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
// again, and has the apps told to it: a server may have lost its memory.
func (g *Gateway) watchInngest(ctx context.Context, e *environment) error {
	ticker := time.NewTicker(pingInterval)
	defer ticker.Stop()
	for {
		before := e.client.Reach().Reachable()
		err := pingOnce(ctx, e)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && before:
			g.log.Warn("inngest cannot be reached", "url", e.APIURL, "err", err)
		case err == nil && !before:
			g.log.Info("inngest can be reached again; its apps are told again", "url", e.APIURL)
			g.apps.NotifyRecovered()
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
