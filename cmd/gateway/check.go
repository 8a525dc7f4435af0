package main

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/inngest-gateway/inngest-gateway/config"
)

func newCheckCommand(e env) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check a configuration and report everything that is wrong with it",
		Long: `Reads the configuration that "gateway run" would read, changes nothing, and
prints one line for each thing that is wrong: where it stands, what it is and
what would be accepted. Exits 1 if there is any.`,
		Example: `  gateway check --config gateway.yaml`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(config.Sources{File: file, Env: e.environ, Flags: cmd.Flags()})
			var problems config.Problems
			if errors.As(err, &problems) {
				for _, p := range problems {
					fmt.Fprintln(cmd.OutOrStdout(), p)
				}
				return fmt.Errorf("check: %s in the configuration", counted(len(problems), "problem"))
			}
			if err != nil {
				return err
			}
			from := cfg.File()
			if from == "" {
				from = "configuration from the environment and flags"
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: good, %s\n", from, contents(cfg))
			return err
		},
	}
	addConfigFlags(cmd, &file)
	return cmd
}

// contents says what a configuration serves.
func contents(cfg *config.Config) string {
	var parts []string
	if len(cfg.Apps) > 0 {
		parts = append(parts, counted(len(cfg.Apps), "app"))
	}
	if len(cfg.Functions) > 0 {
		parts = append(parts, counted(len(cfg.Functions), "function"))
	}
	if published := publishers(cfg); published > 0 {
		parts = append(parts, "those that "+counted(published, "backend")+" may publish")
	}
	return cmp.Or(strings.Join(parts, ", "), "no functions")
}

// publishers counts the backends that are asked for functions.
func publishers(cfg *config.Config) int {
	n := 0
	for _, a := range cfg.FunctionApps {
		n += len(a.Discover.URLs)
	}
	return n
}

// counted writes a number of things.
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
