// Command gateway runs the Inngest Gateway and the tools around it:
//
//	gateway run       run the gateway
//	gateway dev       run it with an embedded development server and a sample app
//	gateway check     check a configuration, all of it at once
//	gateway sign      sign a body, as Inngest signs call requests
//	gateway verify    verify the signature of a body
//	gateway send      send an event
//	gateway invoke    run one function, or send an app one signed call request
//	gateway functions list the functions that a running gateway serves itself
//	gateway types     print types for events with a schema
//	gateway spool     list, show, replay and drop dead letters
//	gateway pause     keep calls from an app or a function for a while
//	gateway resume    end a pause
//	gateway keys      make local keys for an app
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

	"github.com/inngest-gateway/inngest-gateway/gateway"
)

// version is set when a release is built: -ldflags "-X main.version=v1.2.3".
var version = "dev"

func main() { os.Exit(run()) }

// run is main with an exit status, for tests that run the command in process.
func run() int {
	ctx, stop := interruptible(context.Background())
	defer stop()
	root := newRoot(env{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, environ: os.Environ()})
	return tell(os.Stderr, root.ExecuteContext(ctx))
}

// interruptible returns a context that the first SIGINT or SIGTERM ends. From
// then on signals do what they do by themselves: a second one ends the process
// at once.
func interruptible(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
		case <-ctx.Done():
		}
		signal.Stop(signals) // before anybody learns of the first one
		cancel()
	}()
	return ctx, cancel
}

// tell writes what went wrong, and returns the exit status.
func tell(w io.Writer, err error) int {
	var usage usageError
	var logged *gateway.LoggedError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &logged):
		return 1
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(w, "gateway: %s\n", strings.TrimRight(line, "\n"))
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
		Use:   "gateway",
		Short: "Gateway between an Inngest server and app services",
		Long: `Gateway between an Inngest server and app services.

Results go to standard output, errors and logs to standard error. The exit
status is 0 when a command did what it says, 1 when it did not, 2 when the
command line is wrong.`,
		Example:       "  gateway dev    # everything on this machine, with a sample app",
		Version:       versionText(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          knownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(e.stdin)
	root.SetOut(e.stdout)
	root.SetErr(e.stderr)
	root.SetVersionTemplate("{{.Version}}\n")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
	})
	root.AddCommand(
		newRunCommand(e), newDevCommand(e), newCheckCommand(e),
		newSignCommand(e), newVerifyCommand(e), newSendCommand(e), newInvokeCommand(e),
		newFunctionsCommand(e), newTypesCommand(e), newSpoolCommand(e),
		newPauseCommand(e), newResumeCommand(e),
		newKeysCommand(e), newHealthCommand(e), newVersionCommand(e),
	)
	root.SetHelpCommand(newHelpCommand())
	for _, c := range root.Commands() {
		checkArguments(c)
	}
	return root
}

// newHelpCommand is cobra's, but that it does not take every word for a command.
func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Tell what a command does",
		RunE: func(cmd *cobra.Command, args []string) error {
			of, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return knownCommand(cmd.Root(), args)
			}
			of.InitDefaultHelpFlag()
			return of.Help()
		},
	}
}

// knownCommand refuses what is no command of cmd, and names those that may have
// been meant.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("unknown command %q", strings.Join(args, " "))
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += ", did you mean " + strings.Join(near, " or ")
	}
	return usageError{fmt.Errorf("%s; see %s --help", text, cmd.CommandPath())}
}

// checkArguments makes wrong positional arguments of a command, and of those
// below it, usage errors. A command takes none unless it says how many.
func checkArguments(c *cobra.Command) {
	for _, below := range c.Commands() {
		checkArguments(below)
	}
	inner := c.Args
	if inner == nil {
		inner = func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("%q is one argument too many", args[0])
			}
			return nil
		}
	}
	if c.Name() == "help" {
		return
	}
	c.Args = func(cmd *cobra.Command, args []string) error {
		err := inner(cmd, args)
		if err == nil || errors.As(err, new(usageError)) {
			return err
		}
		return usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
	}
}

// takes wants arguments with those names, of which the last ones may be missing.
func takes(least int, names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return fmt.Errorf("%s is missing", names[len(args)])
		case len(args) > len(names):
			return fmt.Errorf("%q is one argument too many", args[len(names)])
		}
		return nil
	}
}
