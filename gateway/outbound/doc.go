// Package outbound is the apps listener: what apps ask of Inngest passes
// through it, and the real keys are added here, so that apps need not hold
// them. What a registration means is package gateway/apps' business; events
// are passed on as they are until package events takes them over.
//
// # What happens to a request
//
//  1. Its head is copied once, without hop-by-hop fields and without what could
//     restate who called (X-Forwarded-*, X-Gateway-*, method overrides).
//  2. The table in routes.go names its route. Only there is it written on which
//     paths a real key may be used; a path that is not in the table is passed
//     without Authorization.
//  3. The credential is looked up: an app's local signing key (hashed, as SDKs
//     send it, or plain, as the Go SDK does for checkpoints) is exchanged for
//     the real one; the real key itself passes as it is. A request without a
//     known token is refused with 401 unless an app is configured that needs
//     none (strip) or brings its own (passthrough). Where none is needed, a
//     request that a page in a browser may have sent is refused all the same.
//  4. A body that fits the limit is read whole, so that the request can be sent
//     again with the next key after a 401 or 403; longer ones and uploads that
//     are streams by nature are passed on as they arrive and are sent once.
//     Nothing else is ever sent twice, checkpoints least of all.
//  5. The answer is passed as it comes, streamed; only an answer of
//     /v0/connect/start is read, because it names the address that a Connect
//     worker dials next and repeats the real key.
//
// # Why net/http towards Inngest
//
// Calls to apps go through package pool, whose exchange writes a request and
// then reads an answer. Here both directions stream, sometimes at once, the
// cloud speaks HTTP/2, and Connect and realtime need WebSockets: the standard
// library's transport does all of that and keeps its connections. Speed is no
// argument on this side: one request of an app stands for a step, not for a
// byte on the wire.
//
// # WebSockets
//
// An upgrade is passed on the realtime route and to the endpoint of a Connect
// worker; after it bytes are copied both ways until one side ends or nothing
// was said for the idle limit. A worker's endpoint is a URL of this listener
// with a ticket in it. For apps that must not know the real key, the first
// message of the worker (WORKER_CONNECT, connect.proto of inngest/inngest
// 1.43) is read and the token in it exchanged; from then on nothing is looked
// at.
package outbound
