// Package admission decides when a call may pass to its app: it parks calls that
// the app cannot take now, bounds how many it has at once, and lets duplicates
// share one answer. How an app is reached is left to package pool, and what
// Inngest is told of a call that was turned away to gateway/inbound.
//
// The idea is that attempts are the scarce resource: a call that is refused
// costs its run one of few attempts, a call that waits costs nothing.
//
// # A call in a Room
//
// [Room.Do] stands before the callee and has the same signature:
//
//   - calls that no run waits for (syncs, introspections, trust probes) pass at
//     once and are not counted;
//   - a duplicate of a call on its way joins it (guard.go, shared.go,
//     recording.go);
//   - a call that the app can take passes: one lock, no allocation;
//   - else it is parked (waitingroom.go), in a queue of its function; functions
//     take turns (function.go);
//   - a call of which not one byte was sent comes back to the head of its queue,
//     so that an app that restarts burns no attempt.
//
// It leaves the room for the app in its turn; with an [Error] when its time is
// over, when the room is full or the gateway goes away; or because its caller
// hung up, which one sweep a second finds out.
//
// # When the app takes no calls
//
// The gate (gate.go) closes when a call is refused or no endpoint is usable. It
// opens when the breaker's own probe was good or, where the breaker has not
// opened, after a moment that doubles up to a second. Then one call passes, and
// twice as many every 250 ms, until there is no bound but the limit: a stampede
// would end the app again.
//
// # How long calls are parked
//
// wait.max counts from when the caller began to wait: the time in its signature
// if that is within 10 s before the call's arrival, else its arrival. Where the
// app verifies the caller's own signature, a call is never parked until that
// has expired; where the gateway signs, a call older than 4 minutes is signed
// again. With auto the limit begins at 50 s, and is learnt (patience.go): one
// call at a time whose wait is over is the canary and stays for half as long
// again. If its caller is still there at the end, the limit follows, up to 4
// minutes; if it hung up, that is remembered for a day. Callers that give up
// sooner than the limit, at three times and yet at the same age, lower it, if
// nobody waited for longer: that is a balancer. A server that restarts gives up
// calls of any age at one time. After that the next canary goes in five minutes.
// Where no call ever waits, gate and ramp turn none away (shed.go).
//
// # How many calls the app has
//
// At most concurrency.max; with concurrency.adaptive fewer while the app shows
// load (limit.go). The last eighth of the places is for functions that have less
// than their share.
//
// # Duplicates
//
// Two calls with one run, job, generation, attempt, step and target are the
// same; all but the target is taken from the signed body. The second one gets
// the first one's answer. A newer generation never joins an older one: it goes to the app
// beside it. With guard.replay, an answer that did not get through waits for the
// next call for the same work, also of a newer generation if the run's state is
// the same byte by byte.
//
// # Pauses
//
// [Room.Pause] parks calls of the app or one function until a time or
// [Room.Resume]. Pauses and what was learnt are kept in a [Folder].
package admission
