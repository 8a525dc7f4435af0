// Package spec is the configuration of functions without an SDK: what a file,
// or a backend's manifest, says of each, checked as Inngest's server checks it,
// and the registration that it makes. Running functions is left to package
// functions, the language of steps to functions/program, expressions to
// functions/expr.
//
// # A function
//
// A function has an id, at least one trigger, and exactly one of endpoint,
// steps and conversation. All other settings have the names that Inngest's SDKs
// give them:
//
//	id: process-order
//	triggers: [{event: order.created, if: "event.data.total > 0"}]
//	retries: 3
//	concurrency: {limit: 10, key: event.data.customerId}
//	cancelOn: [{event: order.cancelled, if: "async.data.id == event.data.id"}]
//	onFailure: {endpoint: "http://orders:8080/failed"}
//	steps:
//	  - {id: validate, post: "http://orders:8080/validate", body: "${event.data}"}
//
// An id may hold letters, digits, "-", "_" and "."; it is registered behind the
// app's id and a "-". What onFailure holds becomes a second function, as in the
// SDKs: its id ends in "-failure", and Inngest's own event
// inngest/function.failed starts it.
//
// # Reading
//
// [Reader.Read] takes what a YAML or JSON decoder gives and returns all problems
// at once, each with the path as it was written. An unknown key is a problem; a
// key without a value counts as not written. Every limit of the server is
// checked, the ones that it enforces silently too (more than 20 retries, a
// rateLimit beside idempotency), because what is cut silently is not what was
// meant. Expressions are compiled with the variables that the server gives them.
//
// [Reader.ReadManifest] reads what a backend publishes at [ManifestPath]. A
// manifest is believed less than the operator's file: see [Manifest].
package spec
