package inngest

// A Code names why the gateway itself refused or failed something. The same
// word stands in X-Gateway-Error, in the problem+json body, in metric labels
// and in docs/errors.md.
type Code string

// Codes of call requests whose signature or identity was not believed.
const (
	CodeSignatureMissing   Code = "signature_missing"
	CodeSignatureMalformed Code = "signature_malformed"
	CodeSignatureExpired   Code = "signature_expired"
	CodeSignatureMismatch  Code = "signature_mismatch"
	CodeIdentityMismatch   Code = "identity_mismatch"
)

// Codes of requests that the gateway does not take.
const (
	CodeUnknownPath         Code = "unknown_path"
	CodeMethodNotAllowed    Code = "method_not_allowed"
	CodeVersionNotSupported Code = "version_not_supported"
	CodeMalformedRequest    Code = "malformed_request" // could be read in two ways
	CodeHeadTooLarge        Code = "head_too_large"
	CodeURITooLong          Code = "uri_too_long"
	CodeBodyTooLarge        Code = "body_too_large"
	CodeBodyTooSlow         Code = "body_too_slow"
	CodeMemoryExhausted     Code = "memory_exhausted"
	CodeTooManyConnections  Code = "too_many_connections"
	CodeServerKindRefused   Code = "server_kind_refused"
	CodeUnsignedSyncRefused Code = "unsigned_sync_refused"
	CodeUnauthorized        Code = "unauthorized" // apps and admin listener: no or wrong token
	CodeUnknownApp          Code = "unknown_app"
	CodeMalformedRegister   Code = "malformed_register"
	CodePublicURLUnknown    Code = "public_url_unknown" // a registration's URLs cannot be made the gateway's
	CodeInternal            Code = "internal"
	CodeDraining            Code = "draining"
)

// Codes of events that were not taken. What is about their request as a whole
// has the codes above.
const (
	CodeEventInvalid     Code = "event_invalid"     // Inngest would refuse it, or a schema does
	CodeEventRefused     Code = "event_refused"     // Inngest has refused it
	CodeRateLimited      Code = "rate_limited"      // over the configured rate of its key
	CodeSpoolFull        Code = "spool_full"        // Inngest takes no events, and the spool has no room
	CodeSpoolUnavailable Code = "spool_unavailable" // Inngest takes no events, and the spool cannot store
)

// Codes of exchanges with an upstream that failed, or whose answer must not
// reach Inngest.
const (
	CodeUpstreamRefused    Code = "upstream_refused"    // no connection
	CodeUpstreamReset      Code = "upstream_reset"      // connection lost before the whole answer
	CodeUpstreamTimeout    Code = "upstream_timeout"    // a configured limit passed
	CodeUpstreamBusy       Code = "upstream_busy"       // no connection became free in time
	CodeUpstreamOpen       Code = "upstream_open"       // every circuit breaker is open
	CodeUpstreamBadAnswer  Code = "upstream_bad_answer" // framing in doubt, unasked 101
	CodeUpstreamTooLarge   Code = "upstream_too_large"  // answer over the limit
	CodeUpstreamUnready    Code = "upstream_unready"    // status >= 400 that no SDK sent
	CodeUpstreamRedirect   Code = "upstream_redirect"   // redirect to a foreign origin
	CodeUpstreamEmpty      Code = "upstream_empty"      // 206 with an empty list
	CodeUpstreamUntrusted  Code = "upstream_untrusted"  // signature of the answer does not verify
	CodeUpstreamEncoding   Code = "upstream_encoding"   // content coding that cannot be undone
	CodeInngestUnavailable Code = "inngest_unavailable" // apps listener: Inngest cannot be reached
	CodeStateUnavailable   Code = "state_unavailable"   // what a call was too large to carry could not be read
	CodeCallCanceled       Code = "call_canceled"       // the caller gave up before the app had answered
	CodeConcurrencyLimit   Code = "concurrency_limit"   // the app has as many calls as it may have at once
	CodePaused             Code = "paused"              // somebody paused the app or the function
	CodeWaitingRoomFull    Code = "waiting_room_full"   // no more calls can be parked
)

// Codes of functions without an SDK. They stand on answers that are an SDK's in
// all else: a 206 whose step failed, or the function's own error.
const (
	CodeFunctionConfiguration    Code = "function_configuration"     // no such function here, or one that cannot run as it is configured
	CodeFunctionEvent            Code = "function_event"             // events or state of the run could not be read, or an event not sent
	CodeFunctionInvalid          Code = "function_invalid"           // the function asked for what cannot be done, or its backend answered against the rules
	CodeFunctionWebhook          Code = "function_webhook"           // a backend could not be called
	CodeFunctionRuntime          Code = "function_runtime"           // an expression or the gateway itself failed while the function ran
	CodeFunctionTimeout          Code = "function_timeout"           // a backend did not answer in time
	CodeFunctionStale            Code = "function_stale"             // another dispatch of the call has taken over
	CodeFunctionRetriesExhausted Code = "function_retries_exhausted" // the last attempt failed
)

// Codes returns every code, in the order of docs/errors.md.
func Codes() []Code {
	return []Code{
		CodeSignatureMissing, CodeSignatureMalformed, CodeSignatureExpired, CodeSignatureMismatch,
		CodeIdentityMismatch,

		CodeUnknownPath, CodeMethodNotAllowed, CodeVersionNotSupported, CodeMalformedRequest,
		CodeHeadTooLarge, CodeURITooLong, CodeBodyTooLarge, CodeBodyTooSlow, CodeMemoryExhausted,
		CodeTooManyConnections, CodeServerKindRefused, CodeUnsignedSyncRefused, CodeUnauthorized,
		CodeUnknownApp, CodeMalformedRegister, CodePublicURLUnknown, CodeInternal, CodeDraining,

		CodeEventInvalid, CodeEventRefused, CodeRateLimited, CodeSpoolFull, CodeSpoolUnavailable,

		CodeUpstreamRefused, CodeUpstreamReset, CodeUpstreamTimeout, CodeUpstreamBusy, CodeUpstreamOpen,
		CodeUpstreamBadAnswer, CodeUpstreamTooLarge, CodeUpstreamUnready, CodeUpstreamRedirect,
		CodeUpstreamEmpty, CodeUpstreamUntrusted, CodeUpstreamEncoding, CodeInngestUnavailable,
		CodeStateUnavailable, CodeCallCanceled, CodeConcurrencyLimit, CodePaused, CodeWaitingRoomFull,

		CodeFunctionConfiguration, CodeFunctionEvent, CodeFunctionInvalid, CodeFunctionWebhook, CodeFunctionRuntime,
		CodeFunctionTimeout, CodeFunctionStale, CodeFunctionRetriesExhausted,
	}
}
