// Package devserver is an Inngest server in memory, for development, demos and
// tests: apps with the official SDKs, and the gateway in between, run against
// it unmodified. It keeps nothing on disk, is one process with one lock, and
// must not run anything that matters. Signatures it leaves to package
// signature, the words of the protocol to package inngest; what an app does
// with a call is the app's business, devserver/sample has an example.
//
// # What it imitates
//
// The self-hosted server 1.43 in signed mode, as recorded in
// testdata/recordings: comments name the recording that a behaviour comes
// from, or "seen on server 1.43" where it was watched on a running server. The
// tests compare whole requests and answers with the recordings; only ids,
// times and traces are compared by their form.
//
//   - Apps: POST /fn/register, the server's own PUT (signed for addresses from
//     the settings, repeated every 5 s while it fails; unsigned for added
//     ones), introspection and the trust probe on demand.
//     [InBandOnly] is a server that knows the in-band dialect alone. There is
//     no recording of one.
//   - Events: POST /e/{key} with the server's validation, its texts, its
//     seeded ids and its partial acceptance; POST /invoke/{slug}. An event is
//     taken as often as it comes, under one id if its seed is repeated.
//   - Runs: triggers by name, wildcard, CEL expression and cron; the step loop
//     with every opcode that needs no cloud; parallel plans that join before
//     the next call, or race; memoised steps in their four shapes; retries of
//     calls and of steps with the server's back-off, Retry-After and
//     x-inngest-no-retry; answers in gzip, br and the 201 wrapper; redirects;
//     use_api; onFailure, inngest/function.finished, .failed and .cancelled;
//     rerun from a step with other input.
//   - Calls: canonical JSON, signed, each on a new connection with
//     "Connection: close" and the recorded header lines in their order.
//   - Checkpoints: POST /v1/checkpoint and its /steps and /async, with the
//     fence of generations ([Options].Fenced) or without; durable endpoints and
//     their output; both also under /v1/http/runs.
//   - POST /v1/signals; GET /v0/runs/{id}/batch and actions; GET
//     /v1/apps/{name}/functions; realtime token, publish, publish/tee, WebSocket
//     and server-sent events.
//
// # Flow control
//
// Enforced: batchEvents (maxSize, timeout, key, if), concurrency (keys, scopes
// fn and env; account counts as env), rateLimit, idempotency, debounce,
// throttle, singleton, cancelOn, timeouts, one start per function and event in
// 24 h (by the event's own id, or else the one its sender was told), in batches
// one place per function and told id in 30 min. Rate limits and throttles count the starts of the last period, where
// the server spaces them evenly. Accepted and not enforced: priority, the
// jitter of a cron, checkpoint settings.
//
// # Where it differs on purpose
//
//   - Time: what is due later hangs on a [Clock] that tests can jump, and that
//     otherwise runs like the wall clock. Signatures and tokens have wall time,
//     because the apps' clocks are real.
//   - /dev is its own: apps, runs with a timeline of every call, events, and
//     the clock, as JSON; / is a page for people. The real server has another
//     page there, and a GraphQL API.
//   - The ids of functions are derived from app and slug, not from the URL, so
//     that they survive a move.
//   - A checkpoint does not reset the attempts of its job. The server's code
//     does; the recorded call after one (137) is attempt 1 all the same.
//   - Traces are made up: their ids have the right form and lead nowhere.
//   - Ended runs beyond [Options].Keep are forgotten.
//   - Connect, cancellations in bulk, the REST API for runs and events, GraphQL
//     and the v2 API are not there: 404.
//
// # Faults and counts
//
// Tests of event senders have the event API fail: [Server.FaultEvents] with a
// status, a delay, no answer or a reset, before or after the events were taken;
// [Server.RefuseEvents] finds events bad that it would take; [Server.SetEventKeys]
// changes the keys. [FaultsInTurn] and [RandomFaults] make series of faults.
// [Server.EventCounts] tells how often each event arrived and how many runs it
// started, [Server.EventTotals] the sums, [Server.WaitEvents] waits for them.
//
// # Use
//
// [New] makes a [Server]; [Server.Handler] takes requests, [Server.Run]
// advances runs while it runs. In a test:
//
//	clock := devserver.NewClock()
//	s, err := devserver.New(devserver.Options{SigningKey: key, EventKeys: keys, Clock: clock})
//	// serve s.Handler(), start s.Run(ctx)
//	err = s.Sync(ctx, appURL, true)              // PUT, signed
//	id, err := s.SendEvent(ctx, "demo/hello", data)
//	clock.Advance(time.Hour)                     // over sleeps and back-offs
//	runs, err := s.WaitRunsOf(ctx, id)           // all of them have ended
//
// [Options].Observer is told of each step, one at a time and in order.
package devserver
