// Package functions hosts functions whose backends have no SDK: it answers what
// Inngest asks of an app, as an SDK would. What a function does is for its
// [run.Driver]: [Endpoint] and [Conversation] here, a program of steps in
// functions/program. Calling backends is left to package pool, what a function
// is configured with to functions/spec, syncs to gateway/apps, and the requests
// to Inngest to the callee that is given as [Options].API.
//
// # How a plain HTTP backend becomes a function
//
// A [Host] is one app. It takes the place of the app's [pool.Upstream]: a call
// goes to [Host.Do] and comes back as an SDK's answer, unsigned, for
// gateway/apps to sign (mode strip). With the function "order" at the endpoint
// http://shop/order and one backend answer, the whole exchange is:
//
//	Inngest → gateway   POST /api/functions?fnId=shop-order&stepId=step
//	                    {"ctx":{…},"event":{"name":"order.created",…},"events":[…],"steps":{},…}
//	gateway → backend   POST /order
//	                    {"event":{…},"events":[…],"ctx":{"runId":"01M…","functionId":"shop-order","attempt":0,"maxAttempts":4}}
//	backend → gateway   200 {"ok":true}
//	gateway → Inngest   200 {"ok":true}, X-Inngest-Sdk: gateway:v1.4.0, X-Inngest-Req-Version: 2
//
// # A call
//
// The host reads the call (callrequest.go), fetches what it was too large to
// carry (hydrate.go; [Hydrator] does that for apps with an SDK too), and asks the
// driver what comes next (exchange.go):
//
//	the driver wants            the host answers
//	nothing more, a value       200 and the value; a text that begins with "{": 206 RunComplete
//	nothing more, a failure     500, or 400 and X-Inngest-No-Retry: true
//	one step that a backend     runs it: 206 StepRun, StepError while attempts are left, StepFailed
//	  makes
//	one step of the server's    206 with its op: Sleep, WaitForEvent, InvokeFunction, …
//	several steps               206 with all of them; what a backend makes as StepPlanned, which
//	                            the server asks for one by one (stepId)
//
// # Checkpoints
//
// With [Function].Checkpoint the host tells each step to Inngest as it ends, and
// goes on in the same call. It waits for the answer before it begins the next
// step: a gateway that dies between two steps loses none that Inngest knows.
// It hands back to the server, with the last step in the 206,
//
//   - when Options.Yield has passed since the call began, and when [Host.Run]
//     ends: the next call goes on;
//   - from attempt 1 on. Attempts belong to the call: a second step in it would
//     begin with those that the first one has used up;
//   - when the checkpoint was not taken: the step is in the 206 instead. On a
//     409 another dispatch has taken over: the host stops and answers 500.
//
// # Errors
//
// A backend's answer becomes a result or an error by one table (run/backend.go),
// also for the steps of a conversation:
//
//	2xx                  the result: its JSON, a text as a JSON string, null if empty
//	3xx                  an error, not tried again: the gateway follows no redirects
//	408, 425, 429        an error, tried again
//	other 4xx            an error, not tried again
//	5xx                  an error, tried again
//	no answer            an error, tried again
//
// X-Inngest-No-Retry: true or false in the answer decides otherwise, Retry-After
// says when. Name, message, stack and data of the error are the members of the
// answer's JSON with these names; title and detail count as name and message,
// and so does error where it is a text. Otherwise the name is "HTTP 502" and
// the message the first bytes of the body.
//
// A backend that takes no connection is waited for by whoever passes the call on
// (a room of gateway/admission), for as long as Inngest waits for the answer:
// [run.Run.Bind] tells it.
//
// What the gateway itself has to say of an error stands in X-Gateway-Error, see
// docs/errors.md.
//
// # Requests to backends
//
// Each has Content-Type: application/json, Idempotency-Key (the run's id, for a
// step followed by "/" and the step's id: the same for all attempts; the
// questions of a conversation have none), the traceparent of the call, and
// X-Inngest-Signature where a key is configured.
//
// Conversations are described at [Conversation].
package functions
