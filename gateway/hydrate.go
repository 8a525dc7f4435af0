package gateway

import (
	"github.com/inngest-gateway/inngest-gateway/config"
	"github.com/inngest-gateway/inngest-gateway/functions"
)

// stateAttempts is how often a part of a run's state is asked for. The caller of
// the call waits meanwhile, for a minute perhaps.
const stateAttempts = 3

// hydratorOf returns what reads the state of an app's runs for it.
func (g *Gateway) hydratorOf(a config.App) (*functions.Hydrator, error) {
	return functions.NewHydrator(functions.HydratorOptions{
		App:         appID(a),
		API:         g.environments[a.Inngest].client,
		APITimeout:  apiTimeout,
		APIAttempts: stateAttempts,
		APIBackoff:  apiBackoff,
		MaxState:    int(g.cfg.Limits.Body),
		Budget:      g.budget,
		Metrics:     g.metrics.Functions,
		Log:         g.log,
	})
}
