// Package inbound is the front of the call plane: it listens where Inngest
// calls, makes a [call.Call] of each request that it believes, hands it to the
// app's [Route], and writes the answer. Which app has which keys is left to
// gateway/apps, how an endpoint is reached to pool, who has to wait to
// gateway/admission.
//
// # Life of a request
//
// A connection (conn.go) reads the bytes of a head and has them judged in one
// pass (head.go, field.go): what two parsers could read in two ways is refused,
// what the app gets is written afresh. fasthttp (front.go) never sees the
// caller's head; it is shown a constant one, runs the loop of requests, and
// writes the answers. Then, in this order (handler.go):
//
//   - checks that need the head alone: method, path, one signature with a time
//     inside the tolerance, declared length (route.go, handler.go);
//   - the body, read into a buffer that grows with what arrives and is charged
//     to the budget of the process (body.go, chunked.go);
//   - signature and identity (identity.go): the identity comes from the signed
//     body, and headers or a step id that say otherwise are refused;
//   - the exchange with the app (upstream.go), or the sync (sync.go);
//   - the verdict on the answer (answer.go, redirect.go, coding.go), signatures,
//     compression (compress.go).
//
// When the gateway itself must refuse, the answer keeps the run alive where it
// can (refusal.go, retryafter.go): 503 and Retry-After; 502 where the app's
// answer was bad; 4xx for what never was a call.
//
// # Slowness
//
// No deadline is set on a connection. One sweeper with a tick of a second
// (sweep.go) closes connections whose head does not arrive, that are idle for
// too long, or whose body or answer makes no progress; at the limit of
// connections the one that is idle for longest goes.
//
// # Sockets
//
// Plain TCP and unix connections are read and written by system calls of our
// own (socket.go), and hold no buffer while nothing arrives; a connection is
// accepted when its request is there (deferaccept_linux.go). TLS and other
// systems take the ordinary way behind the same functions.
//
// # Going away
//
// [Server.Drain] accepts what waits in the queue of the listener and closes it;
// running calls finish and their connections close. [Server.WaitIdle] waits for
// that, [Server.Close] cuts what is left with a refusal that says draining. A
// caller that hangs up cuts nothing: what the app began it should end.
//
// # Settings
//
// limits.memory, limits.memory_wait, limits.body, limits.answer, limits.head, limits.uri,
// limits.connections, limits.head_timeout, limits.body_min_rate,
// limits.idle_timeout, limits.write_timeout, compression.*, trusted_proxies, log.sample;
// per app: path, durable_endpoints, compress, outage_budget.
package inbound
