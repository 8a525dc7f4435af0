package main

import (
	"github.com/spf13/cobra"

	"github.com/inngest-gateway/inngest-gateway/config"
	"github.com/inngest-gateway/inngest-gateway/gateway"
)

func newDevCommand(e env) *cobra.Command {
	var file, listen string
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run the gateway with an embedded development server, and a sample app if you bring none",
		Long: `Runs a gateway between an in-memory Inngest server and your apps, everything
signed with a key that is made at start (or INNGEST_SIGNING_KEY). Without an app
in the configuration a small sample app is served, and an event is sent to it.
What happens to each run is printed, a line a step.

Apps come from where "gateway run" has them: --app-url, or a configuration
file. What belongs to the real Inngest in it is replaced: URLs, keys,
public_url, state_dir. Keys that it refers to and that are not there are made
up, and printed with what each app needs to be started.

For development, demos and tests only: the server forgets everything when it
ends. Interrupt it (Ctrl-C) to end it.`,
		Example: `  gateway dev
  gateway dev --app-url http://127.0.0.1:3000/api/inngest
  gateway dev --config gateway.yaml`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := gateway.NewDev(gateway.DevOptions{
				Sources: config.Sources{File: file, Env: e.environ, Flags: cmd.Flags()},
				Listen:  listen,
				Version: version,
				Out:     e.stdout,
				LogTo:   e.stderr,
			})
			if err != nil {
				return err
			}
			return d.Run(cmd.Context())
		},
	}
	addConfigFlags(cmd, &file)
	cmd.Flags().StringVar(&listen, "inngest-listen", "127.0.0.1:8288", "`ADDRESS` of the development server")
	return cmd
}
