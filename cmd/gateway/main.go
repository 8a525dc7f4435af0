// Command gateway runs the Inngest Gateway and the tools around it:
//
//	gateway run       run the gateway
//	gateway dev       run it with an embedded development server and a sample app
//	gateway check     check a configuration, all of it at once
//	gateway sign      sign a body, as Inngest signs call requests
//	gateway verify    verify the signature of a body
//	gateway send      send an event
//	gateway invoke    send one signed call request to an app and show the answer
//	gateway health    ask a running gateway whether it is ready
//	gateway version   print the version
//
// One file a command, and no logic in it: flags become values, then a package
// does the work. Results go to standard output; errors and logs to standard
// error, one line "gateway: what went wrong". The exit status is 0 when the
// command did what it says, 1 when it did not, 2 for a wrong command line.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set when a release is built: -ldflags "-X main.version=v1.2.3".
var version = "dev"

func main() { os.Exit(run()) }

// run is main with an exit status, for tests that run the command in process.
func run() int {
	// The first signal asks; the second is no longer caught and ends the
	// process at once.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	defer stop()

	root := newRoot(env{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, environ: os.Environ()})
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	var usage usageError
	if text := err.Error(); text != "" {
		fmt.Fprintf(os.Stderr, "gateway: %s\n", strings.TrimRight(text, "\n"))
	}
	if errors.As(err, &usage) {
		return 2
	}
	return 1
}

// env is what a command may touch of the process around it.
type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	environ        []string
}

// lookup returns the value of an environment variable, empty if it is not set.
func (e env) lookup(name string) string {
	for i := len(e.environ) - 1; i >= 0; i-- {
		if k, v, ok := strings.Cut(e.environ[i], "="); ok && k == name {
			return v
		}
	}
	return ""
}

// usageError marks a wrong command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func newRoot(e env) *cobra.Command {
	root := &cobra.Command{
		Use:           "gateway",
		Short:         "Gateway between an Inngest server and app services",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unknown command %q; see gateway --help", args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(e.stdin)
	root.SetOut(e.stdout)
	root.SetErr(e.stderr)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%s: %w; see %s --help", cmd.CommandPath(), err, cmd.CommandPath())}
	})
	root.AddCommand(
		newRunCommand(e), newDevCommand(e), newCheckCommand(e),
		newSignCommand(e), newVerifyCommand(e), newSendCommand(e),
		newInvokeCommand(e), newHealthCommand(e), newVersionCommand(e),
	)
	for _, c := range root.Commands() {
		c.Args = noArguments(c)
	}
	return root
}

// noArguments makes positional arguments a usage error unless the command
// takes some.
func noArguments(c *cobra.Command) cobra.PositionalArgs {
	inner := c.Args
	if inner == nil {
		inner = cobra.NoArgs
	}
	return func(cmd *cobra.Command, args []string) error {
		if err := inner(cmd, args); err != nil {
			return usageError{fmt.Errorf("%s: %w; see %s --help", cmd.CommandPath(), err, cmd.CommandPath())}
		}
		return nil
	}
}
