package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/inngest-gateway/inngest-gateway/gateway"
)

// spoolFlags are where the commands on dead letters find them.
type spoolFlags struct {
	admin   adminFlags
	config  string
	offline bool
}

func newSpoolCommand(e env) *cobra.Command {
	var f spoolFlags
	cmd := &cobra.Command{
		Use:   "spool",
		Short: "Work on dead letters: events that Inngest refused after they were accepted",
		Long: `Lists, shows, replays and drops dead letters: events that the gateway had
accepted and that Inngest then refused, or that grew older than
events.spool.max_age before it could be reached. Nothing else removes them.

The commands ask a running gateway through its admin listener. With --offline
they open the spool itself, by the configuration that "gateway run" would read;
the gateway must not run then, unless the spool is an external server.`,
		Example: `  gateway spool ls
  gateway spool show 01M8ZK...
  gateway spool replay --all
  gateway spool drop 01M8ZK... --offline --config gateway.yaml`,
		Args: knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	f.admin.add(cmd.PersistentFlags())
	cmd.PersistentFlags().BoolVar(&f.offline, "offline", false, "open the spool of a gateway that does not run")
	cmd.PersistentFlags().StringVar(&f.config, "config", "", "configuration `FILE`, with --offline")
	cmd.AddCommand(newSpoolLsCommand(e, &f), newSpoolShowCommand(e, &f),
		newSpoolEachCommand(e, &f, "replay", "Send dead letters again", letters.Replay),
		newSpoolEachCommand(e, &f, "drop", "Delete dead letters for good", letters.Drop))
	return cmd
}

func newSpoolLsCommand(e env, f *spoolFlags) *cobra.Command {
	limit := 100
	asJSON := false
	cmd := &cobra.Command{
		Use:     "ls",
		Short:   "List the oldest dead letters",
		Example: `  gateway spool ls --limit 1000 --json`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.with(cmd.Context(), e, func(ctx context.Context, l letters) error {
				list, err := l.List(ctx, limit)
				if err != nil {
					return fmt.Errorf("spool ls: %w", err)
				}
				if asJSON {
					return writeJSON(cmd.OutOrStdout(), list)
				}
				return writeLetters(cmd.OutOrStdout(), list)
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", limit, "letters at most")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func writeLetters(w io.Writer, list []gateway.Letter) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "no dead letters")
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tAT\tEVENTS\tENVIRONMENT\tREASON")
	for _, l := range list {
		environment := l.Environment
		if l.Branch != "" {
			environment += "/" + l.Branch
		}
		if environment == "" {
			environment = "-"
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%q\n", l.ID, l.At.UTC().Format(time.RFC3339), l.Events, environment, l.Reason)
	}
	return table.Flush()
}

func newSpoolShowCommand(e env, f *spoolFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "show ID",
		Short:   "Show a dead letter with its events, as JSON",
		Example: `  gateway spool show 01M8ZK...`,
		Args:    takes(1, "ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.with(cmd.Context(), e, func(ctx context.Context, l letters) error {
				letter, err := l.Show(ctx, args[0])
				if err != nil {
					return fmt.Errorf("spool show: %w", err)
				}
				return writeJSON(cmd.OutOrStdout(), letter)
			})
		},
	}
}

// newSpoolEachCommand makes the command that does the same to each letter.
func newSpoolEachCommand(e env, f *spoolFlags, name, short string, do func(letters, context.Context, string) error) *cobra.Command {
	all := false
	cmd := &cobra.Command{
		Use:     name + " ID...",
		Short:   short,
		Example: "  gateway spool " + name + " 01M8ZK...\n  gateway spool " + name + " --all",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, ids []string) error {
			if all == (len(ids) > 0) {
				return usageError{errors.New("spool " + name + ": takes the IDs of letters, or --all")}
			}
			return f.with(cmd.Context(), e, func(ctx context.Context, l letters) error {
				if all {
					var err error
					if ids, err = allIDs(ctx, l); err != nil {
						return fmt.Errorf("spool %s: %w", name, err)
					}
				}
				for i, id := range ids {
					if err := do(l, ctx, id); err != nil {
						return fmt.Errorf("spool %s: %s, after %d of %d: %w", name, id, i, len(ids), err)
					}
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", name, counted(len(ids), "letter"))
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, fmt.Sprintf("do it to every dead letter there is now, the oldest %d at most", mostLetters))
	return cmd
}

// mostLetters is what the admin listener lists at most.
const mostLetters = 10_000

func allIDs(ctx context.Context, l letters) ([]string, error) {
	list, err := l.List(ctx, mostLetters)
	ids := make([]string, len(list))
	for i, one := range list {
		ids[i] = one.ID
	}
	return ids, err
}

func writeJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}
