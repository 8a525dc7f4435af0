package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/inngest-gateway/inngest-gateway/config"
	"github.com/inngest-gateway/inngest-gateway/events/schema"
)

func newTypesCommand(e env) *cobra.Command {
	var file, lang string
	cmd := &cobra.Command{
		Use:   "types --lang ts|go|python|json",
		Short: "Print types for the events that the configuration has schemas for",
		Long: `Prints one type for the data of each event in events.schemas and for all that
the schemas refer to: TypeScript, Go or Python, or one JSON Schema for whole
events. The same schemas give the same text, so it can be checked in and
compared.`,
		Example: `  gateway types --lang ts --config gateway.yaml > events.ts
  gateway types --lang python > events.py`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !slices.Contains(schema.Langs(), schema.Lang(lang)) {
				return usageError{fmt.Errorf("types: --lang is %q, want one of %v", lang, schema.Langs())}
			}
			cfg, err := config.Load(config.Sources{File: file, Env: e.environ, Flags: cmd.Flags()})
			if err != nil {
				return err
			}
			set, err := cfg.SchemaSet()
			if err != nil {
				return err
			}
			if set.Len() == 0 {
				return errors.New("types: the configuration has no events.schemas")
			}
			return set.Types(cmd.OutOrStdout(), schema.Lang(lang))
		},
	}
	cmd.Flags().StringVar(&lang, "lang", "", "`LANGUAGE`: ts, go, python or json")
	addConfigFlags(cmd, &file)
	return cmd
}
