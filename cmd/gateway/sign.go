package main

import (
	"bytes"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/inngest-gateway/inngest-gateway/signature"
)

func newSignCommand(e env) *cobra.Command {
	var key string
	var at int64
	var canonical bool
	cmd := &cobra.Command{
		Use:   "sign",
		Short: "Sign the body on standard input, as Inngest signs call requests",
		Long: `Signs the body on standard input and prints the value of X-Inngest-Signature.

The bytes are signed as they are. A body that you made yourself should be in
canonical form (RFC 8785), since some SDKs put it into that form before they
verify: --canonical refuses one that is not.`,
		Example: `  printf '{}' | gateway sign`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("at") && at < 0 {
				return usageError{fmt.Errorf("sign: --at is %d, want Unix seconds", at)}
			}
			k, err := e.signingKey(key)
			if err != nil {
				return fmt.Errorf("sign: %w", err)
			}
			body, err := readBody(e.stdin)
			if err != nil {
				return fmt.Errorf("sign: %w", err)
			}
			if canonical {
				if err := checkCanonical(body); err != nil {
					return fmt.Errorf("sign: %w", err)
				}
			}
			when := time.Now()
			if cmd.Flags().Changed("at") {
				when = time.Unix(at, 0)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), signature.Sign(k, body, when))
			return err
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "signing `KEY`, as env:NAME or file:PATH (default env:"+signingKeyVariable+")")
	cmd.Flags().Int64Var(&at, "at", 0, "time to sign for, Unix `SECONDS` (default now)")
	cmd.Flags().BoolVar(&canonical, "canonical", false, "refuse a body that is not canonical JSON")
	return cmd
}

// checkCanonical says where a body leaves the canonical form.
func checkCanonical(body []byte) error {
	form, err := signature.Canonical(body)
	if err != nil {
		return fmt.Errorf("the body has no canonical form: %w", err)
	}
	if bytes.Equal(form, body) {
		return nil
	}
	at := 0
	for at < min(len(form), len(body)) && form[at] == body[at] {
		at++
	}
	what := fmt.Sprintf("from byte %d on", at)
	if at == len(form) {
		what = "because of the white space at its end"
	}
	return fmt.Errorf("the body is not in canonical form (RFC 8785), %s; without --canonical it is signed as it is", what)
}
