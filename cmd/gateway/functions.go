package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/inngest-gateway/inngest-gateway/functions"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

func newFunctionsCommand(e env) *cobra.Command {
	var admin adminFlags
	var asJSON bool
	var app string
	cmd := &cobra.Command{
		Use:   "functions",
		Short: "List the functions that a running gateway serves itself",
		Long: `Asks the admin listener of a running gateway which functions without an SDK it
serves: what starts them, which backends they call, and when Inngest last took
their registration. A backend that is away is marked with "down".`,
		Example: `  gateway functions
  gateway functions --app functions --json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := admin.client(e)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), admin.timeout)
			defer cancel()
			var s functionsStatus
			if err := client.get(ctx, "/status", &s); err != nil {
				return fmt.Errorf("functions: %w", err)
			}
			if app != "" {
				s.FunctionApps = slices.DeleteFunc(s.FunctionApps, func(one functions.Status) bool { return one.App != app })
				if len(s.FunctionApps) == 0 {
					return errors.New("functions: the gateway serves no app " + app + " itself")
				}
			}
			if asJSON {
				if s.FunctionApps == nil {
					s.FunctionApps = []functions.Status{} // not null
				}
				return writeJSON(cmd.OutOrStdout(), s.FunctionApps)
			}
			return s.write(cmd.OutOrStdout())
		},
	}
	admin.add(cmd.Flags())
	cmd.Flags().StringVar(&app, "app", "", "`ID` of the only app to list")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// functionsStatus is what the admin listener says of functions.
type functionsStatus struct {
	FunctionApps []functions.Status `json:"function_apps"`
	Apps         []struct {
		App     string    `json:"app"`
		Synced  time.Time `json:"synced"`
		Pending bool      `json:"pending"`
		Failure string    `json:"failure"`
	} `json:"apps"`
	Endpoints []struct {
		App       string    `json:"app"`
		Endpoint  string    `json:"endpoint"`
		DownSince time.Time `json:"down_since"`
	} `json:"endpoints"`
}

// write prints a line for each function.
func (s *functionsStatus) write(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "FUNCTION\tKIND\tTRIGGERS\tBACKENDS\tCALLS\tFAILED\tSYNCED")
	n := 0
	for _, app := range s.FunctionApps {
		for _, f := range app.Functions {
			n++
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%d\t%s\n", f.ID, f.Kind,
				listOf(f.Triggers, triggerText), listOf(f.Backends, s.backendText(app.App)), f.Calls, f.Failures, s.synced(app.App))
		}
	}
	if n == 0 {
		_, err := fmt.Fprintln(w, "no functions")
		return err
	}
	return table.Flush()
}

// synced says when Inngest last took the app's registration.
func (s *functionsStatus) synced(app string) string {
	for _, a := range s.Apps {
		switch {
		case a.App != app:
		case a.Failure != "":
			return "failed: " + strings.Join(strings.Fields(a.Failure), " ")
		case a.Synced.IsZero():
			return "never"
		default:
			return a.Synced.UTC().Format(time.RFC3339)
		}
	}
	return "never"
}

// backendText marks backends that are away.
func (s *functionsStatus) backendText(app string) func(string) string {
	return func(origin string) string {
		for _, e := range s.Endpoints {
			if e.App == app && e.Endpoint == origin && !e.DownSince.IsZero() {
				return origin + " (down)"
			}
		}
		return origin
	}
}

func triggerText(t inngest.Trigger) string {
	text := t.Event
	if t.Cron != "" {
		text = `"` + t.Cron + `"`
	}
	if t.Expression != "" {
		text += " if " + t.Expression
	}
	return text
}

// listOf writes a column with any number of things.
func listOf[T any](things []T, text func(T) string) string {
	var all []string
	for _, one := range things {
		all = append(all, text(one))
	}
	return cmp.Or(strings.Join(all, ", "), "-")
}
