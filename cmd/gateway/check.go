package main

import (
	"errors"
	"fmt"

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
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(config.Sources{File: file, Env: e.environ, Flags: cmd.Flags()})
			var problems config.Problems
			if errors.As(err, &problems) {
				for _, p := range problems {
					fmt.Fprintln(cmd.OutOrStdout(), p)
				}
				return fmt.Errorf("%d problems", len(problems))
			}
			if err != nil {
				return err
			}
			from := cfg.File()
			if from == "" {
				from = "environment"
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: good, %d apps\n", from, len(cfg.Apps))
			return err
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration file (YAML)")
	config.AddFlags(cmd.Flags())
	return cmd
}
