package inngest

// Header names of the protocol, in the spelling that the server sends.
// Compare them case-insensitively (RFC 9110, section 5.1).
const (
	HeaderSignature          = "X-Inngest-Signature"       // t=<unix seconds>&s=<lower hex of HMAC-SHA256>
	HeaderSDK                = "X-Inngest-Sdk"             // both ways; a 2xx without it fails the attempt
	HeaderSDKHandled         = "X-Inngest-Sdk-Handled"     // stays on answers that no stranger should learn from
	HeaderRequestVersion     = "X-Inngest-Req-Version"     // -1: unknown at the start of a run; SDKs answer 2
	HeaderStepID             = "X-Inngest-Step-Id"         // "step": no targeted step
	HeaderForceStepPlan      = "X-Inngest-Force-Step-Plan" // durable-endpoint re-entry only
	HeaderRunID              = "X-Run-Id"
	HeaderRequestID          = "X-Request-Id"                   // new for each call
	HeaderJobID              = "X-Inngest-Job-Id"               // stable over the attempts of one job
	HeaderGenerationID       = "X-Inngest-Generation-Id"        // counts the dispatches of one job, from 1
	HeaderNoRetry            = "X-Inngest-No-Retry"             // only the text "true" counts, on a 200 too
	HeaderRetryAfter         = "Retry-After"                    // whole seconds >= 1, an HTTP date or an ISO date; 24 h at most
	HeaderSyncKind           = "X-Inngest-Sync-Kind"            // SyncInBand or SyncOutOfBand
	HeaderServerKind         = "X-Inngest-Server-Kind"          // cloud or dev; stamped by the server
	HeaderExpectedServerKind = "X-Inngest-Expected-Server-Kind" // the SDK's echo of it on register
	HeaderEnv                = "X-Inngest-Env"                  // branch environment
	HeaderPlatform           = "X-Inngest-Platform"
	HeaderFramework          = "X-Inngest-Framework"
	HeaderEventIDSeed        = "X-Inngest-Event-Id-Seed" // see ParseSeed
	HeaderAccountID          = "Account-Id"
	HeaderTraceparent        = "Traceparent"
	HeaderTracestate         = "Tracestate"

	// HeaderGatewayError carries the Code of an answer that the gateway itself made.
	HeaderGatewayError = "X-Gateway-Error"
)

// Values of HeaderSyncKind. The underscore is what the code of every SDK has.
const (
	SyncInBand    = "in_band"
	SyncOutOfBand = "out_of_band"
)

// ProbeTrust is the value of the query parameter "probe" of a trust probe.
const ProbeTrust = "trust"
