package sdk

import (
	"context"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/devserver"
)

// Without a gateway between: what the development server and an SDK do with each
// other is what the gateway must not change. A signed PUT of a server that
// expects a registration is the one thing that does not work (protocol.md, the
// two dialects of syncs): there the gateway has to translate.
func TestDirect_everyKindOfFunctionEndsAsItShould(t *testing.T) {
	for name, sdk := range sdks() {
		for dialectName, dialect := range map[string]devserver.Dialect{"register": devserver.Register, "in band": devserver.InBandOnly} {
			if dialect == devserver.Register && !sdk.registers {
				continue
			}
			t.Run(name+"/"+dialectName, func(t *testing.T) {
				t.Parallel()
				s := startServer(t, dialect, productionKey)
				app := sdk.start(t, appOptions{baseURL: s.url, signingKey: productionKey, eventKey: eventKey})
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				if err := s.Sync(ctx, app.url, true); err != nil {
					t.Fatal(err)
				}
				checkKinds(t, s, app)
			})
		}
	}
}
