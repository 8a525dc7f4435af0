package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/inngest-gateway/inngest-gateway/signature"
)

func newVerifyCommand(e env) *cobra.Command {
	var keys []string
	var header string
	var at int64
	var tolerance time.Duration
	cmd := &cobra.Command{
		Use:   "verify --signature 't=…&s=…'",
		Short: "Verify the signature of the body on standard input",
		Long: `Verifies a value of X-Inngest-Signature against the body on standard input,
as the gateway does: over the raw bytes, then over the canonical form, then
without white space at the end. Exits 1 and says why if it does not hold.`,
		Example: `  gateway verify --signature "$header" < body.json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if header == "" {
				return usageError{errors.New("verify: --signature is missing")}
			}
			if len(keys) == 0 {
				keys = []string{""}
			}
			var ring []signature.Key
			for _, reference := range keys {
				k, err := e.signingKey(reference)
				if err != nil {
					return fmt.Errorf("verify: %w", err)
				}
				ring = append(ring, k)
			}
			body, err := readBody(e.stdin)
			if err != nil {
				return fmt.Errorf("verify: %w", err)
			}
			now := time.Now
			if cmd.Flags().Changed("at") {
				now = func() time.Time { return time.Unix(at, 0) }
			}
			v, err := signature.NewVerifier(signature.Options{Keys: ring, Tolerance: tolerance, MaxCanonical: maxStdin, Now: now})
			if err != nil {
				return usageError{fmt.Errorf("verify: --tolerance: %w", err)}
			}
			if err := v.VerifyAnswer([]byte(header), body); err != nil {
				return refused(err, tolerance)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "good")
			return err
		},
	}
	cmd.Flags().StringArrayVar(&keys, "key", nil, "signing `KEY`, as env:NAME or file:PATH; repeatable (default env:"+signingKeyVariable+")")
	cmd.Flags().StringVar(&header, "signature", "", "`VALUE` of X-Inngest-Signature")
	cmd.Flags().Int64Var(&at, "at", 0, "verify as if it were this time, Unix `SECONDS` (default now)")
	cmd.Flags().DurationVar(&tolerance, "tolerance", 5*time.Minute, "how far the signature's time may be off")
	return cmd
}

// refused says why a signature does not hold, and where the limit is.
func refused(err error, tolerance time.Duration) error {
	var reject *signature.RejectError
	if errors.As(err, &reject) && reject.Reason == signature.ReasonExpired {
		return fmt.Errorf("verify: expired: %w, and %v are tolerated (--tolerance, --at)", err, tolerance)
	}
	return fmt.Errorf("verify: %w", err)
}
