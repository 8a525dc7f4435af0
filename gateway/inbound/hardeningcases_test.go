package inbound

import (
	"fmt"
	"strings"
	"testing"
)

func rawCases(_ testing.TB, body, sig string) map[string]map[string]rawCase {
	post := func(headers ...string) string {
		return message("POST /api/inngest?fnId=f&stepId=step HTTP/1.1", body, append(headers, sig)...)
	}
	line := func(line string) string { return message(line, body, sig) }
	// head ends where it is told; nothing is added.
	head := func(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n\r\n" }
	chunked := fmt.Sprintf("%x\r\n%s\r\n0\r\n", len(body), body)
	const start = "POST /api/inngest HTTP/1.1"
	bad := func(raw string) rawCase { return rawCase{raw: raw, status: []int{400}, code: "malformed_request"} }
	passes := func(raw, gone, kept string) rawCase {
		return rawCase{raw: raw, status: []int{200}, calls: 1, gone: gone, kept: kept}
	}
	return map[string]map[string]rawCase{
		"00 memory on a stranger's word": {
			"over the limit":                   {raw: head(start, "Host: gw", sig, "Content-Length: 8388609"), status: []int{413}, code: "body_too_large"},
			"over the limit, expects a 100":    {raw: head(start, "Host: gw", sig, "Expect: 100-continue", "Content-Length: 999999999999"), status: []int{413}, code: "body_too_large"},
			"no signature, expects a 100":      {raw: head(start, "Host: gw", "Expect: 100-continue", "Content-Length: 4194304"), status: []int{401}, code: "signature_missing"},
			"malformed signature, 4 MiB":       {raw: head(start, "Host: gw", "X-Inngest-Signature: t=1&s=2", "Content-Length: 4194304"), status: []int{401}, code: "signature_malformed"},
			"expired signature, 4 MiB":         {raw: head(start, "Host: gw", "X-Inngest-Signature: t=1&s="+strings.Repeat("a", 64), "Content-Length: 4194304"), status: []int{401}, code: "signature_expired"},
			"4 MiB declared, little sent":      {raw: head(start, "Host: gw", sig, "Content-Length: 4194304") + body, status: []int{400}, code: "malformed_request"},
			"chunks over the limit":            {raw: head(start, "Host: gw", sig, "Transfer-Encoding: chunked") + "7fffff\r\n" + strings.Repeat("a", 0x7fffff) + "\r\n2\r\naa\r\n0\r\n\r\n", status: []int{413}, code: "body_too_large"},
			"a chunk of all memory there is":   {raw: head(start, "Host: gw", sig, "Transfer-Encoding: chunked") + "ffffffff\r\naaaa", status: []int{400}, code: "malformed_request"},
			"a body that nobody signed, small": {raw: message(start, `{}`, sig), status: []int{401}, code: "signature_mismatch"},
		},
		"01 bytes behind a request": {
			"an unsigned GET":              {raw: post() + "GET /api/inngest HTTP/1.1\r\nHost: gw\r\n\r\n", status: []int{200, 401}, code: "signature_missing", calls: 1},
			"the same POST without length": {raw: post() + head(start, "Host: gw", sig), status: []int{200, 401}, code: "signature_mismatch", calls: 1},
			"a length that is too short":   {raw: strings.Replace(post(), fmt.Sprintf("Content-Length: %d", len(body)), "Content-Length: 2", 1), status: []int{401}, code: "signature_mismatch"},
			"garbage":                      {raw: post() + "garbage\x00\r\n\r\n", status: []int{200, 400}, code: "malformed_request", calls: 1},
			"after Connection: close":      {raw: post("Connection: close") + post(), status: []int{200}, calls: 1},
			"a second signed call":         {raw: post() + post(), status: []int{200, 200}, calls: 2},
			"an empty line between":        {raw: post() + "\r\n" + post(), status: []int{200, 200}, calls: 2},
			"a second call in the chunks":  {raw: head(start, "Host: gw", sig, "Transfer-Encoding: chunked") + chunked + "\r\n" + "GET /api/inngest HTTP/1.1\r\nHost: gw\r\n\r\n", status: []int{200, 401}, code: "signature_missing", calls: 1},
		},
		"02 upgrades": {
			"h2c":                      bad(post("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")),
			"websocket":                bad(head("GET /api/inngest HTTP/1.1", "Host: gw", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x")),
			"upgrade without the list": bad(post("upgrade: foo")),
			"the list without upgrade": passes(post("Connection: Upgrade"), "Connection Upgrade", ""),
			"settings of HTTP/2":       passes(post("HTTP2-Settings: AAMAAABk"), "Http2-Settings", ""),
		},
		"03 hop by hop": {
			"listed":                   passes(post("Connection: X-Hop, close", "X-Hop: 1"), "X-Hop Connection", ""),
			"listed before and behind": passes(post("X-Hop: 1", "Connection: x-hop", "X-HOP: 2"), "X-Hop", ""),
			"the protocol's own":       passes(post("Connection: X-Inngest-Signature, X-Run-Id, Traceparent, Content-Type, Host", "X-Run-Id: run1", "Traceparent: 00-a", "Content-Type: application/json"), "", "X-Run-Id=run1 Traceparent=00-a Content-Type=application/json"),
			"all known":                passes(post("Keep-Alive: timeout=9", "Proxy-Authorization: x", "Proxy-Connection: x", "TE: trailers", "Proxy-Foo: x"), "Proxy-Foo", ""),
			"a list of no names":       bad(post("Connection: a b")),
			"a list without end":       bad(post("Connection: " + strings.Repeat("x, ", 20) + "y")),
		},
		"04 trailers": {
			"declared":                  bad(head(start, "Host: gw", sig, "Trailer: X-Foo", "Transfer-Encoding: chunked") + chunked + "X-Foo: 1\r\n\r\n"),
			"signature declared":        bad(head(start, "Host: gw", "Trailer: X-Inngest-Signature", "Transfer-Encoding: chunked") + chunked + sig + "\r\n\r\n"),
			"not declared":              bad(head(start, "Host: gw", sig, "Transfer-Encoding: chunked") + chunked + "X-Foo: 1\r\n\r\n"),
			"signature, not declared":   {raw: head(start, "Host: gw", "Transfer-Encoding: chunked") + chunked + sig + "\r\n\r\n", status: []int{401}, code: "signature_missing"},
			"a second one, undeclared":  bad(head(start, "Host: gw", sig, "Transfer-Encoding: chunked") + chunked + sig + "\r\n\r\n"),
			"extension of a chunk":      bad(head(start, "Host: gw", sig, "Transfer-Encoding: chunked") + strings.Replace(chunked, "\r\n", ";a=b\r\n", 1) + "\r\n"),
			"chunks without any":        passes(head(start, "Host: gw", sig, "Transfer-Encoding: chunked")+chunked+"\r\n", "", ""),
			"chunk longer than it says": bad(head(start, "Host: gw", sig, "Transfer-Encoding: chunked") + "2\r\nabc\r\n0\r\n\r\n"),
			"bare LF between chunks":    bad(head(start, "Host: gw", sig, "Transfer-Encoding: chunked") + strings.ReplaceAll(chunked, "\r\n", "\n") + "\n"),
		},
		"05 duplicates": {
			"signature":                   {raw: post(sig), status: []int{401}, code: "signature_malformed"},
			"signature in other case":     {raw: post(strings.Replace(sig, "X-Inngest-Signature", "x-inngest-SIGNATURE", 1)), status: []int{401}, code: "signature_malformed"},
			"signature, the first is bad": {raw: post("X-Inngest-Signature: t=1&s=1"), status: []int{401}, code: "signature_malformed"},
			"Host":                        bad(post("host: other")),
			"length, the same":            bad(post(fmt.Sprintf("content-length: %d", len(body)))),
			"length as a list":            bad(head(start, "Host: gw", sig, "Content-Length: 2, 2") + "{}"),
			"transfer coding":             bad(head(start, "Host: gw", sig, "Transfer-Encoding: chunked", "Transfer-Encoding: chunked") + chunked + "\r\n"),
			"run id":                      bad(post("X-Run-Id: run1", "x-run-id: run1")),
			"content type":                bad(post("Content-Type: application/json", "Content-Type: text/plain")),
			"step id of the query":        {raw: line("POST /api/inngest?stepId=step&stepId=step HTTP/1.1"), status: []int{400}, code: "identity_mismatch"},
			"step id, encoded":            {raw: line("POST /api/inngest?stepId=step&step%49d=other HTTP/1.1"), status: []int{400}, code: "identity_mismatch"},
		},
		"06 host and target": {
			"user in Host":        bad(strings.Replace(post(), "Host: gw", "Host: a@evil", 1)),
			"path in Host":        bad(strings.Replace(post(), "Host: gw", "Host: gw/evil", 1)),
			"list in Host":        bad(strings.Replace(post(), "Host: gw", "Host: gw,evil", 1)),
			"empty Host":          bad(strings.Replace(post(), "Host: gw", "Host:", 1)),
			"no Host":             bad(strings.Replace(post(), "Host: gw\r\n", "", 1)),
			"absolute form":       bad(line("POST http://evil/api/inngest HTTP/1.1")),
			"file":                bad(line("POST file:///api/inngest HTTP/1.1")),
			"no slash":            bad(line("POST api/inngest HTTP/1.1")),
			"authority form":      {raw: line("CONNECT evil:80 HTTP/1.1"), status: []int{405}, code: "method_not_allowed"},
			"asterisk":            bad(line("POST * HTTP/1.1")),
			"space in target":     bad(line("POST /api/inngest?a= b HTTP/1.1")),
			"fragment":            bad(line("POST /api/inngest#x HTTP/1.1")),
			"byte that is no URL": bad(line("POST /api/inngest?\xff HTTP/1.1")),
			"tab":                 bad(line("POST\t/api/inngest HTTP/1.1")),
		},
		"07 versions": {
			"0.9 without a version": {raw: "POST /api/inngest\r\n\r\n", status: []int{505}, code: "version_not_supported"},
			"0.9":                   {raw: line("POST /api/inngest HTTP/0.9"), status: []int{505}, code: "version_not_supported"},
			"1.2":                   {raw: line("POST /api/inngest HTTP/1.2"), status: []int{505}, code: "version_not_supported"},
			"2.0":                   {raw: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", status: []int{505}, code: "version_not_supported"},
			"3":                     {raw: line("POST /api/inngest HTTP/3"), status: []int{505}, code: "version_not_supported"},
			"lower case":            bad(line("POST /api/inngest http/1.1")),
			"something behind":      bad(line("POST /api/inngest HTTP/1.1 x")),
			"1.0":                   passes(line("POST /api/inngest HTTP/1.0"), "", ""),
			"1.0 with chunks":       bad(head("POST /api/inngest HTTP/1.0", "Host: gw", sig, "Transfer-Encoding: chunked") + chunked + "\r\n"),
		},
		"08 header names": {
			"space inside":               bad(post("X A: b")),
			"space before the colon":     bad(head(start, "Host: gw", sig, "Content-Length : 2") + "{}"),
			"tab before the colon":       bad(post("Transfer-Encoding\t: chunked")),
			"no name":                    bad(post(": b")),
			"no colon":                   bad(post("XAb")),
			"NUL":                        bad(post("X\x00A: b")),
			"no ASCII":                   bad(post("X\xc3\xa4: b")),
			"underscore signature":       bad(message(start, body, strings.Replace(sig, "X-Inngest-Signature", "X_Inngest_Signature", 1))),
			"underscore beside the real": bad(post("X-Inngest_Signature: t=1&s=1")),
			"underscore forwarded":       bad(post("X_Forwarded_For: 1.2.3.4")),
			"underscore length":          bad(post("Content_Length: 4")),
			"underscore run id":          bad(post("x_run_id: run2")),
			"underscore of a user":       passes(post("X_My_Header: 1"), "", "X_My_Header=1"),
			"continued line":             bad(post("X-A: b\r\n c")),
			"continued first line":       bad(head(start, " X-A: b", "Host: gw", sig)),
		},
		"09 methods": {
			"lower case":       {raw: line("post /api/inngest HTTP/1.1"), status: []int{405}, code: "method_not_allowed"},
			"TRACE":            {raw: line("TRACE /api/inngest HTTP/1.1"), status: []int{405}, code: "method_not_allowed"},
			"OPTIONS":          {raw: head("OPTIONS * HTTP/1.1", "Host: gw"), status: []int{405}, code: "method_not_allowed"},
			"HEAD with a body": {raw: line("HEAD /api/inngest HTTP/1.1"), status: []int{405}, code: "method_not_allowed"},
			"unknown":          {raw: line("FOO /api/inngest HTTP/1.1"), status: []int{405}, code: "method_not_allowed"},
			"PATCH":            {raw: line("PATCH /api/inngest HTTP/1.1"), status: []int{405}, code: "method_not_allowed"},
			"DELETE":           {raw: line("DELETE /api/inngest HTTP/1.1"), status: []int{405}, code: "method_not_allowed"},
			"no token":         bad(line("P(ST /api/inngest HTTP/1.1")),
			"unsigned GET":     {raw: head("GET /api/inngest HTTP/1.1", "Host: gw"), status: []int{401}, code: "signature_missing"},
		},
		"10 limits": {
			"head":              {raw: post("X-Long: " + strings.Repeat("a", 20<<10)), status: []int{431}, code: "head_too_large"},
			"many lines":        {raw: post(strings.Split(strings.Repeat("X-A: b\n", 3000), "\n")[:3000]...), status: []int{431}, code: "head_too_large"},
			"target":            {raw: line("POST /api/inngest?" + strings.Repeat("a", 9<<10) + " HTTP/1.1"), status: []int{414}, code: "uri_too_long"},
			"target over head":  {raw: line("POST /api/inngest?" + strings.Repeat("a", 40<<10) + " HTTP/1.1"), status: []int{414}, code: "uri_too_long"},
			"a head of 15 KiB":  passes(post("Tracestate: "+strings.Repeat("a", 15<<10)), "", ""),
			"bare LF":           bad(strings.ReplaceAll(post(), "\r\n", "\n")),
			"bare LF in a line": bad(post("X-A: b\nX-B: c")),
			"bare LF at once":   bad("POST /api/inngest HTTP/1.1\nHost: gw\r\n\r\n"),
			"bare CR":           bad(post("X-A: b\rX-B: c")),
			"NUL in a value":    bad(post("X-A: b\x00c")),
			"DEL in a value":    bad(post("X-A: b\x7fc")),
		},
		"11 names that apps believe": {
			"forwarded":     passes(post("X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil", "X-Forwarded-Port: 1", "X-Forwarded-Prefix: /x", "Forwarded: for=6.6.6.6"), "X-Forwarded-Port X-Forwarded-Prefix", "X-Forwarded-For=127.0.0.1 X-Forwarded-Proto=http X-Forwarded-Host=gw"),
			"addresses":     passes(post("X-Real-IP: 6.6.6.6", "X-Client-IP: 6.6.6.6", "X-Cluster-Client-Ip: 6.6.6.6"), "X-Client-Ip X-Cluster-Client-Ip", "X-Forwarded-For=127.0.0.1"),
			"overrides":     passes(post("X-Original-URL: /x", "X-Rewrite-URL: /x", "X-HTTP-Method-Override: PUT", "X-HTTP-Method: PUT", "X-Method-Override: PUT", "X-Original-Host: x"), "X-Original-Host X-Http-Method X-Method-Override", ""),
			"the gateway's": passes(post("X-Gateway-Error: x", "X-Gateway-Foo: x", "Proxy: http://evil"), "X-Gateway-Foo", ""),
			"the SDK's":     passes(post("X-Inngest-SDK: js", "x-inngest-sdk-handled: true", "X-Inngest-Server-Kind: dev"), "X-Inngest-Sdk-Handled", ""),
			"a user's own":  passes(post("X-My: 1", "Cookie: a=b", "Authorization: Bearer x"), "", "X-My=1 Cookie=a=b"),
		},
		"12 lax routing": {
			"upper case":         {raw: line("POST /API/INNGEST HTTP/1.1"), status: []int{404}, code: "unknown_path"},
			"trailing slash":     {raw: line("POST /api/inngest/ HTTP/1.1"), status: []int{404}, code: "unknown_path"},
			"two slashes":        {raw: line("POST //api/inngest HTTP/1.1"), status: []int{404}, code: "unknown_path"},
			"encoded":            {raw: line("POST /api%2Finngest HTTP/1.1"), status: []int{404}, code: "unknown_path"},
			"encoded letter":     {raw: line("POST /api/inn%67est HTTP/1.1"), status: []int{404}, code: "unknown_path"},
			"dot segments":       {raw: line("POST /x/../api/inngest HTTP/1.1"), status: []int{404}, code: "unknown_path"},
			"parameter":          {raw: line("POST /api/inngest;x HTTP/1.1"), status: []int{404}, code: "unknown_path"},
			"compressed request": passes(post("Content-Encoding: gzip"), "", "Content-Encoding=gzip"),
		},
		"framing": {
			"both lengths":           bad(head(start, "Host: gw", sig, "Content-Length: 4", "Transfer-Encoding: chunked") + chunked + "\r\n"),
			"both, the other order":  bad(head(start, "Host: gw", sig, "Transfer-Encoding: chunked", "Content-Length: 4") + chunked + "\r\n"),
			"identity":               bad(head(start, "Host: gw", sig, "Transfer-Encoding: identity", fmt.Sprintf("Content-Length: %d", len(body))) + body),
			"gzip, chunked":          bad(head(start, "Host: gw", sig, "Transfer-Encoding: gzip, chunked") + chunked + "\r\n"),
			"xchunked":               bad(head(start, "Host: gw", sig, "Transfer-Encoding: xchunked") + chunked + "\r\n"),
			"chunked with a VT":      bad(head(start, "Host: gw", sig, "Transfer-Encoding: \x0bchunked") + chunked + "\r\n"),
			"quoted":                 bad(head(start, "Host: gw", sig, `Transfer-Encoding: "chunked"`) + chunked + "\r\n"),
			"negative length":        bad(head(start, "Host: gw", sig, "Content-Length: -2") + "{}"),
			"plus":                   bad(head(start, "Host: gw", sig, "Content-Length: +2") + "{}"),
			"hexadecimal":            bad(head(start, "Host: gw", sig, "Content-Length: 0x2") + "{}"),
			"leading zero":           bad(head(start, "Host: gw", sig, "Content-Length: 02") + "{}"),
			"overflow":               bad(head(start, "Host: gw", sig, "Content-Length: 18446744073709551618") + "{}"),
			"empty length":           bad(head(start, "Host: gw", sig, "Content-Length:") + "{}"),
			"chunk length overflows": bad(head(start, "Host: gw", sig, "Transfer-Encoding: chunked") + "100000000\r\n"),
			"chunk length with sign": bad(head(start, "Host: gw", sig, "Transfer-Encoding: chunked") + "-2\r\n"),
			"chunk length with 0x":   bad(head(start, "Host: gw", sig, "Transfer-Encoding: chunked") + "0x2\r\n"),
			"unknown expectation":    bad(post("Expect: 200-ok")),
		},
	}
}
