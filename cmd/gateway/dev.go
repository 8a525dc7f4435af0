package main

import (
	"crypto/rand"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/inngest-gateway/inngest-gateway/config"
	"github.com/inngest-gateway/inngest-gateway/gateway"
)

func newDevCommand(e env) *cobra.Command {
	var file, listen string
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run the gateway with an embedded development server, and a sample app if you bring none",
		Long: `Runs a gateway between an in-memory Inngest server and an app, everything
signed with a key that is made at start (or INNGEST_SIGNING_KEY). Without an app
in the configuration a small sample app is served, and an event is sent to it;
what happens to each run is printed, a line a step.

For development, demos and tests only: the server forgets everything when it
ends.`,
		Example: `  gateway dev
  gateway dev --app-url http://127.0.0.1:3000/api/inngest`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			signing, event := e.lookup("INNGEST_SIGNING_KEY"), e.lookup("INNGEST_EVENT_KEY")
			if signing == "" {
				signing = "signkey-test-" + randomHex(32)
			}
			if event == "" {
				event = randomHex(8)
			}
			appFlag, _ := cmd.Flags().GetString("app-url")
			sources := config.Sources{File: file, Flags: cmd.Flags()}
			d, err := gateway.NewDev(gateway.DevOptions{
				Config: func(inngestURL, appURL string) (*config.Config, error) {
					sources.Env = devEnviron(e.environ, map[string]string{
						"INNGEST_SIGNING_KEY": signing,
						"INNGEST_EVENT_KEY":   event,
						"INNGEST_BASE_URL":    inngestURL,
						"GATEWAY_APP_URL":     appURL,
					})
					return config.Load(sources)
				},
				Listen:     listen,
				SigningKey: signing,
				EventKey:   event,
				Sample:     file == "" && appFlag == "" && e.lookup("GATEWAY_APP_URL") == "" && e.lookup("GATEWAY_CONFIG") == "",
				Version:    version,
				Out:        e.stdout,
				LogTo:      e.stderr,
			})
			if err != nil {
				return err
			}
			return d.Run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration file (YAML)")
	cmd.Flags().StringVar(&listen, "inngest-listen", "127.0.0.1:8288", "address of the development server")
	config.AddFlags(cmd.Flags())
	return cmd
}

// devEnviron returns the environment with what the embedded server decides.
// INNGEST_DEV and the URLs of another server would lead past it.
func devEnviron(environ []string, set map[string]string) []string {
	const ours = "INNGEST_DEV INNGEST_API_BASE_URL INNGEST_EVENT_API_BASE_URL INNGEST_SIGNING_KEY_FALLBACK"
	out := slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(strings.Fields(ours), name)
	})
	out = append(out, "GATEWAY_LOG__FORMAT=text", "GATEWAY_LOG__LEVEL=warn")
	for name, value := range set {
		if value != "" {
			out = append(out, name+"="+value)
		}
	}
	return out
}

func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails, see crypto/rand
	return hex.EncodeToString(b)
}
