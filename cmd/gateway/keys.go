package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/inngest-gateway/inngest-gateway/gateway"
)

func newKeysCommand(env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Make local keys for an app",
		Args:  knownCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "new",
		Short: "Make a signing key and an event key for one app in mode resign",
		Long: `Makes the two keys of an app in mode resign and prints them as the variables
that its SDK reads. The gateway needs them too, as apps[].local.signing_key and
apps[].local.event_key. They are stored nowhere.`,
		Example: `  gateway keys new > shop.env`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "INNGEST_SIGNING_KEY=%s\nINNGEST_EVENT_KEY=%s\n",
				gateway.NewSigningKey(), gateway.NewEventKey())
			return err
		},
	})
	return cmd
}
