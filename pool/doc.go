// Package pool carries a call to one of an app's endpoints and its answer back.
// What an answer means to Inngest, and what a caller is told when there is none,
// is for gateway/inbound; how long a call may be held before is for
// gateway/admission.
//
// # Upstream, endpoint, connection
//
// An [Upstream] is an app: endpoints that serve the same. An endpoint is one
// address with connections and a circuit breaker of its own; a dns+http endpoint
// is as many as its name has addresses (resolve.go). A call takes the less busy
// of two endpoints chosen at random, among those whose breaker is closed
// (upstream.go), and one connection for itself until the last byte of its answer
// (trip.go, exchange.go).
//
// A connection is idle or in use. It ends
//
//   - when it was idle for connections.idle_timeout, or for what the app says
//     in Keep-Alive: timeout less a second, or lived for max_lifetime;
//   - when the app closed it: it is looked at without blocking before each use
//     and once a second (look.go), and those that idle beside it end with it;
//   - when bytes wait that nobody asked for: they would be read as the next
//     call's answer. The endpoint gets a new connection for each call for a
//     minute then (trust.go);
//   - when nobody listens at the endpoint any more: an app that is leaving ends
//     when its connections have (leaving.go);
//   - when the framing of an answer is in doubt, or the answer did not come
//     whole.
//
// # Answers
//
// An answer that can be read in two ways is none (head.go, chunk.go): both
// lengths, several lengths, lines without CR, folded lines, other codings than
// chunked, a 101. Bytes behind an answer make it doubtful whose it is, or
// whether it is whole: none either. What remains is a whole body, charged to the
// process's budget as it arrives, or, if it comes in chunks, a stream. Fields
// that speak of one connection are gone, and so are trailers.
//
// # Failures
//
// Refused, reset and silent for longer than answer_timeout, answers that are
// none, and a status of 400 or more that no SDK sent are failures of the
// endpoint; of a backend that is known to have no SDK (call.Call.Plain) only 502,
// 503 and 504. Any answer of an SDK is a success, its own errors too. A caller that
// hangs up, a wait for a free connection that was too long, and a lack of memory
// say nothing about it. Enough failures open its breaker (package breaker); only
// the gateway's own probe closes it again (probe.go).
//
// # An app that is leaving
//
// Many apps that are told to end stop to listen, close their idle connections and
// wait for those in use. The next call would find such a connection idle, and the
// app would never end. So where connections come back from calls and none was
// opened for 2 s, one is opened in the background and serves the next call. When
// it is refused, or a call's or a probe's is, all connections go: the idle ones at
// once, the others with their answer. New calls are refused then and wait, or go
// to another endpoint. A dial that takes too long says nothing: a backlog is full
// when there is much to do. Behind an address of several processes or pods another
// one answers, and max_lifetime is what ends the connections to the one that is
// leaving.
//
// # A host that vanishes
//
// A host that loses its power, or that the network is cut from, says nothing:
// no end, no reset. The system would send again for a quarter of an hour. A call
// ends as if reset when the other end's system has acknowledged nothing for 30 s
// although bytes are out (vanished.go), and the idle connections beside it go;
// the other calls are judged by their own connections. While an answer is awaited
// nothing is out: keepalive asks after 15 s of silence, and ends the connection
// after 30 s without an answer. An app that reads nothing, or is frozen, is not
// hit: its system acknowledges for it. On systems other than Linux keepalive is
// all there is.
//
// # Why so little is sent twice
//
// A call that reached the app may run a step, and a step that runs twice is
// worse than an attempt that is lost: Inngest calls again by itself. So a call
// goes to another endpoint when this one takes no connection, and to another
// connection when not one byte of it could be written. After that it is sent
// again only where resend_after_reset says so, once, while no byte of an answer
// has come. The method makes no difference: durable endpoints run steps on GET.
//
// An app that goes away closes its idle connections, and a call may be on its
// way on one of them. It counts as not sent if the app cannot have read it to
// its end, because an SDK does nothing before it has checked the signature of
// the whole body: where the last byte of it did not go out, and where the
// connection was reset within 5 s by an app on this host, whose system does that
// if bytes were left unread (unread_linux.go). Calls of durable endpoints and of
// backends without an SDK are not treated so.
//
// # Time
//
// No deadline is set on a socket for a call: it would cost every call. A
// sweep once a second (run.go) ends silences and idle times, so both limits are
// exact to a second, and hold only while [Upstream.Run] runs.
package pool
