// Package inngest holds the vocabulary of the Inngest protocol as pure data.
// It does no I/O and keeps no state; signing is package signature's job, and
// what a value means for a run is decided by those who use it: gateway/apps,
// functions, events, devserver.
//
// Where the SDK specification (docs/SDK_SPEC.md of inngest/inngest) and the
// code of server and SDKs differ, this package follows the code, as the
// recorded exchanges of test/recorded show it. It covers, by section of that
// specification:
//
//   - 1.3.2 time strings ([ParseDuration]), 1.3.4 events ([Event]; [Seed] for
//     their ids, which the specification does not know)
//   - 4.1 headers: header.go
//   - 4.3 syncs in both dialects: [RegisterRequest], [InBandAnswer],
//     [SyncRequest], [Function], [SameFunctions]
//   - 4.4 call requests: [CallRequest], [ScanIdentity]
//   - 4.5 introspection: [Introspection]
//   - 5.1 steps: [HashStepID], [Opcode], [GeneratorOp]
//   - 5.2 memoized values: [ParseStepValue]
//
// It leaves out the environment variables (3, package config), the verification
// of requests (4.2.2, package signature) and what only concerns the inside of
// an SDK (5.4 to 6). Connect, the REST API and realtime are not in the
// specification and pass the gateway unread. Expressions are not evaluated.
//
// The gateway's own words are here too: the [Code] of each refusal, and the
// [Problem] that carries it.
package inngest
