// Package config is the typed configuration: every setting, every default,
// where values come from and what makes them wrong. What a setting means at run
// time is left to the package whose Options it ends up in; opening, resolving
// and dialling is left to package gateway.
//
// # Sources
//
// [Load] lays them over each other, the last one counts:
//
//  1. the defaults, all of which stand in [Default] and [DefaultApp];
//  2. one YAML file: --config, else GATEWAY_CONFIG, else [DefaultFile] if it exists;
//  3. the environment: first the variables that Inngest's SDKs read
//     (INNGEST_SIGNING_KEY and so on), then GATEWAY_APP_URL, then GATEWAY_ and a
//     setting's path, levels joined by two underscores (GATEWAY_LIMITS__MEMORY,
//     GATEWAY_APPS__0__PATH). Empty variables count as not set; so do names
//     without two underscores that are no setting;
//  4. flags: --app-url, --set path=value, and flags named like a setting.
//
// INNGEST_SERVE_ORIGIN, INNGEST_SERVE_PATH and the path of GATEWAY_APP_URL fill
// in where no source says anything else.
//
// # From a field to Options
//
// In a source a value is text: YAML scalars stay as they are written, and each
// source becomes a tree of maps, lists and texts with the line or the name it
// was written under (yaml.go, environ.go, flags.go, layer.go). koanf merges the
// trees (load.go). decode.go walks the struct types along the merged tree and
// reads each text as its field's type over the default, which makes unknown
// names and bad values problems. complete fills what follows from other fields,
// validate checks bounds and contradictions. All problems come back at once, as
// [Problems]. Package gateway copies the fields into the Options of the
// packages that it builds; no other package knows a [Config].
//
// # Adding a field
//
//  1. Declare it in config.go or app.go with its key as the koanf tag and a doc
//     comment for users, first sentence first. Where the default is nothing, an
//     example tag shows a value.
//  2. Give it its default in default.go.
//  3. Check it in validate.go or validate_app.go, with words for what is wanted.
//  4. Hand it to its Options in package gateway.
//  5. Run make docs: docs/configuration.md and configs/full.yaml are made of the
//     tags, comments and defaults, and a test fails while they are stale.
//
// A new type of value is one more case in decode.go (or UnmarshalText) and in
// wants, which says what it accepts.
package config
