package main

import (
	"fmt"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/spf13/cobra"

	"github.com/inngest-gateway/inngest-gateway/config"
	"github.com/inngest-gateway/inngest-gateway/gateway"
)

func newRunCommand(e env) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the gateway",
		Long: `Runs the gateway until SIGTERM or SIGINT, then drains: running calls finish,
nobody new comes in. A second signal ends it at once.

Settings come from the defaults, from a file (--config, else GATEWAY_CONFIG,
else ` + config.DefaultFile + ` if it is there), from the
environment (GATEWAY_… and INNGEST_…) and from flags; of several the last one
counts. A sidecar of one app needs no file: GATEWAY_APP_URL and
INNGEST_SIGNING_KEY are enough.`,
		Example: `  gateway run --app-url http://127.0.0.1:3000/api/inngest
  gateway run --config gateway.yaml
  gateway run --config gateway.yaml --set listen.inngest=:9000`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(config.Sources{File: file, Env: e.environ, Flags: cmd.Flags()})
			if err != nil {
				return err
			}
			ceiling, err := limitHeap()
			if err != nil {
				return err
			}
			g, err := gateway.New(gateway.Options{Config: cfg, Version: version, LogTo: e.stderr, OwnProcess: true, HeapCeiling: ceiling})
			if err != nil {
				return err
			}
			return g.Run(cmd.Context())
		},
	}
	addConfigFlags(cmd, &file)
	return cmd
}

// limitHeap tells the garbage collector where the memory ends, and returns that;
// 0 if GOMEMLIMIT has said so, which is left as it is. Left alone it lets the
// heap double before it collects, and bodies may take most of the memory
// (limits.memory).
func limitHeap() (int64, error) {
	said := debug.SetMemoryLimit(-1) // asks
	limit, err := memlimit.Set(
		memlimit.WithProvider(memlimit.ApplyFallback(memlimit.FromCgroup, memlimit.FromSystem)),
		memlimit.WithRatio(0.9),
	)
	if err != nil {
		return 0, fmt.Errorf("memory limit of the process: %w; set GOMEMLIMIT instead", err)
	}
	if limit == said {
		return 0, nil
	}
	return limit, nil
}

// addConfigFlags adds the flags that say what the configuration is.
func addConfigFlags(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "config", "", "configuration `FILE`, YAML ($GATEWAY_CONFIG)")
	config.AddFlags(cmd.Flags())
}
