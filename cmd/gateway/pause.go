package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/inngest-gateway/inngest-gateway/gateway/admission"
)

func newPauseCommand(e env) *cobra.Command {
	var admin adminFlags
	var length time.Duration
	cmd := &cobra.Command{
		Use:   "pause APP[/FUNCTION]",
		Short: "Keep calls from an app or a function for a while",
		Long: `Lets the calls of an app, or of one of its functions, wait in a running gateway.
Calls that the app has already go on. The pause survives a restart of the
gateway where state_dir is set; with several replicas each has its own.

A call waits for as long as apps[].wait.max says. What is still paused then is
tried again by Inngest after the end of the pause, which costs one attempt; of
a pause without an end nobody knows when that is, so every try costs one.`,
		Example: `  gateway pause shop --for 10m
  gateway pause shop/process-order`,
		Args: takes(1, "APP"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if length < 0 {
				return usageError{fmt.Errorf("pause: --for is %v, must not be below 0", length)}
			}
			request := admission.PauseRequest{Target: args[0], Seconds: length.Seconds()}
			answer, err := admin.pause(cmd.Context(), e, "pause", request)
			if err != nil {
				return err
			}
			until := "until it is resumed"
			if !answer.Until.IsZero() {
				until = "until " + answer.Until.UTC().Format(time.RFC3339)
			}
			return tellPause(cmd, "pause: "+args[0]+" is paused "+until, answer)
		},
	}
	admin.add(cmd.Flags())
	cmd.Flags().DurationVar(&length, "for", 0, "how long; without it until the pause is ended")
	return cmd
}

func newResumeCommand(e env) *cobra.Command {
	var admin adminFlags
	cmd := &cobra.Command{
		Use:   "resume APP[/FUNCTION]",
		Short: "End a pause",
		Long: `Ends a pause in a running gateway. The calls that it kept go to the app one
after the other at first, then more and more at once. The end of an app's pause
leaves those of its functions as they are.`,
		Example: `  gateway resume shop`,
		Args:    takes(1, "APP"),
		RunE: func(cmd *cobra.Command, args []string) error {
			answer, err := admin.pause(cmd.Context(), e, "resume", admission.PauseRequest{Target: args[0]})
			if err != nil {
				return err
			}
			return tellPause(cmd, "resume: "+args[0]+" goes on", answer)
		},
	}
	admin.add(cmd.Flags())
	return cmd
}

// pause asks a running gateway to pause or resume.
func (f *adminFlags) pause(ctx context.Context, e env, name string, request admission.PauseRequest) (answer admission.PauseAnswer, err error) {
	client, err := f.client(e)
	if err != nil {
		return answer, err
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	if err := client.control(ctx, name, request, &answer); err != nil {
		return answer, fmt.Errorf("%s: %w", name, err)
	}
	return answer, nil
}

func tellPause(cmd *cobra.Command, what string, answer admission.PauseAnswer) error {
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s; %s of %s wait now\n", what, counted(answer.Parked, "call"), answer.App)
	if answer.NotKept != "" {
		_, warned := fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s\n", cmd.Name(), answer.NotKept)
		err = errors.Join(err, warned)
	}
	return err
}
