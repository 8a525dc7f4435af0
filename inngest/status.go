package inngest

// Status returns the HTTP status of an answer with that code, 0 for a code
// that is not in Codes. What the gateway refuses on behalf of an app is a 503:
// without an SDK header it fails the attempt and leaves the run alive. An answer
// that cannot be read without doubt is a 502, which does the same.
func (c Code) Status() int {
	switch c {
	case CodeSignatureMissing, CodeSignatureMalformed, CodeSignatureExpired, CodeSignatureMismatch,
		CodeUnsignedSyncRefused, CodeUnauthorized:
		return 401
	case CodeIdentityMismatch, CodeMalformedRequest, CodeServerKindRefused, CodeUnknownApp, CodeMalformedRegister,
		CodeEventInvalid, CodeEventRefused:
		return 400
	case CodeUnknownPath:
		return 404
	case CodeMethodNotAllowed:
		return 405
	case CodeBodyTooSlow:
		return 408
	case CodeBodyTooLarge:
		return 413
	case CodeURITooLong:
		return 414
	case CodeRateLimited:
		return 429
	case CodeHeadTooLarge:
		return 431
	case CodeInternal,
		CodeFunctionConfiguration, CodeFunctionEvent, CodeFunctionInvalid, CodeFunctionWebhook, CodeFunctionRuntime,
		CodeFunctionTimeout, CodeFunctionStale, CodeFunctionRetriesExhausted:
		return 500
	case CodeUpstreamBadAnswer:
		return 502
	case CodeVersionNotSupported:
		return 505
	case CodeMemoryExhausted, CodeTooManyConnections, CodePublicURLUnknown, CodeDraining,
		CodeSpoolFull, CodeSpoolUnavailable,
		CodeUpstreamRefused, CodeUpstreamReset, CodeUpstreamTimeout, CodeUpstreamBusy, CodeUpstreamOpen,
		CodeUpstreamTooLarge, CodeUpstreamUnready, CodeUpstreamRedirect,
		CodeUpstreamEmpty, CodeUpstreamUntrusted, CodeUpstreamEncoding, CodeInngestUnavailable, CodeStateUnavailable, CodeCallCanceled,
		CodeConcurrencyLimit, CodePaused, CodeWaitingRoomFull:
		return 503
	}
	return 0
}
