package faultyapp

import (
	"fmt"
	"strings"
	"time"
)

// heads are heads that parsers could read in two ways, or without end.
func heads() []Fault {
	whole := func(name, format string) Fault {
		return Fault{Name: name, Want: NoAnswer, Serve: func(x *Exchange) bool {
			body := Own(x.Body)
			return x.Send(fmt.Sprintf(format, len(body)) + body)
		}}
	}
	const sdk = "X-Inngest-Sdk: faulty:v1.0.0\r\n"
	return []Fault{
		whole("lines that end with LF", "HTTP/1.1 200 OK\nX-Inngest-Sdk: faulty:v1.0.0\nContent-Length: %d\n\n"),
		whole("one line that ends with LF", "HTTP/1.1 200 OK\r\n"+sdk+"X: 1\nContent-Length: %d\r\n\r\n"),
		whole("a CR inside a line", "HTTP/1.1 200 OK\r\n"+sdk+"X: 1\rY: 2\r\nContent-Length: %d\r\n\r\n"),
		whole("a NUL in a value", "HTTP/1.1 200 OK\r\n"+sdk+"X: a\x00b\r\nContent-Length: %d\r\n\r\n"),
		whole("a space before the colon", "HTTP/1.1 200 OK\r\n"+sdk+"Content-Length : %d\r\n\r\n"),
		whole("a folded line", "HTTP/1.1 200 OK\r\n"+sdk+"X: 1\r\n 2\r\nContent-Length: %d\r\n\r\n"),
		whole("a line without colon", "HTTP/1.1 200 OK\r\n"+sdk+"X\r\nContent-Length: %d\r\n\r\n"),
		whole("a name that is empty", "HTTP/1.1 200 OK\r\n"+sdk+": 1\r\nContent-Length: %d\r\n\r\n"),
		whole("HTTP/2.0", "HTTP/2.0 200 OK\r\n"+sdk+"Content-Length: %d\r\n\r\n"),
		whole("HTTP/1.2", "HTTP/1.2 200 OK\r\n"+sdk+"Content-Length: %d\r\n\r\n"),
		whole("lower-case http", "http/1.1 200 OK\r\n"+sdk+"Content-Length: %d\r\n\r\n"),
		whole("a status of two digits", "HTTP/1.1 20 OK\r\n"+sdk+"Content-Length: %d\r\n\r\n"),
		whole("a status of four digits", "HTTP/1.1 2000 OK\r\n"+sdk+"Content-Length: %d\r\n\r\n"),
		whole("a status below 100", "HTTP/1.1 099 OK\r\n"+sdk+"Content-Length: %d\r\n\r\n"),
		whole("two spaces before the status", "HTTP/1.1  200 OK\r\n"+sdk+"Content-Length: %d\r\n\r\n"),
		whole("an empty line first", "\r\nHTTP/1.1 200 OK\r\n"+sdk+"Content-Length: %d\r\n\r\n"),
		whole("no head at all", "{\"length\":%d}"),
		whole("a body before the head", Poison+" HTTP/1.1 200 OK\r\n"+sdk+"Content-Length: %d\r\n\r\n"),
		{Name: "a status line without reason", Want: OwnAnswer, Serve: func(x *Exchange) bool {
			return x.Send(strings.Replace(x.Own(), "200 OK", "200", 1))
		}},
		{Name: "HTTP/1.0", Want: OwnAnswer, Serve: func(x *Exchange) bool {
			x.Send(strings.Replace(x.Own(), "HTTP/1.1", "HTTP/1.0", 1))
			return false
		}},
		{Name: "a flood of header lines", Want: NoAnswer, Serve: func(x *Exchange) bool {
			for s := "HTTP/1.1 200 OK\r\n"; x.Send(s); s = strings.Repeat("X-Flood: "+Poison+"\r\n", 50) {
			}
			return false
		}},
		{Name: "one endless header line", Want: NoAnswer, Serve: func(x *Exchange) bool {
			for s := "HTTP/1.1 200 OK\r\nX-Flood: "; x.Send(s); s = strings.Repeat("x", 4096) {
			}
			return false
		}},
		{Name: "a gateway's 502", Want: Either, Serve: func(x *Exchange) bool {
			return x.Send("HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n" + Poison)
		}},
	}
}

// chunks are chunked bodies, right and wrong.
func chunks() []Fault {
	with := func(name string, want Outcome, body func(own string) string) Fault {
		return Fault{Name: name, Want: want, Serve: func(x *Exchange) bool {
			return x.Send(x.lines("Transfer-Encoding: chunked\r\n", body(Own(x.Body))))
		}}
	}
	coded := func(name, coding string) Fault {
		return Fault{Name: name, Want: NoAnswer, Serve: func(x *Exchange) bool {
			own := Own(x.Body)
			return x.Send(x.lines(coding, fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(own), own)))
		}}
	}
	size := func(name, format string) Fault {
		return with(name, NoAnswer, func(own string) string { return fmt.Sprintf(format, len(own)) + own + "\r\n0\r\n\r\n" })
	}
	return []Fault{
		with("chunks", OwnAnswer, func(own string) string {
			return fmt.Sprintf("3\r\n%s\r\n%X;ext=1\r\n%s\r\n0\r\n\r\n", own[:3], len(own)-3, own[3:])
		}),
		with("trailers", OwnAnswer, func(own string) string {
			return fmt.Sprintf("%x\r\n%s\r\n0\r\nX-Inngest-Signature: %s\r\n\r\n", len(own), own, Poison)
		}),
		size("a chunk size with a sign", "+%x\r\n"),
		size("a negative chunk size", "-%x\r\n"),
		size("a chunk size with 0x", "0x%x\r\n"),
		size("a chunk size that overflows", "fffffffffffffffff%x\r\n"),
		size("a chunk size without digits", "\r\n%.0d"),
		size("a chunk size in words", "ten%.0d\r\n"),
		size("a chunk size with a space", "%x \r\n"),
		size("a chunk size that ends with LF", "%x\n"),
		{Name: "a chunk too long", Want: NoAnswer, Hangs: true, Serve: func(x *Exchange) bool {
			own := Own(x.Body)
			return x.Send(x.lines("Transfer-Encoding: chunked\r\n", fmt.Sprintf("1%x\r\n%s\r\n0\r\n\r\n", len(own), own)))
		}},
		size("a chunk extension without end", "%x;"+strings.Repeat("x", 100_000)+"\r\n"),
		with("a chunk too short", NoAnswer, func(own string) string {
			return fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(own)-1, own)
		}),
		with("a trailer without colon", NoAnswer, func(own string) string {
			return fmt.Sprintf("%x\r\n%s\r\n0\r\ntrailer\r\n\r\n", len(own), own)
		}),
		with("trailers without end", NoAnswer, func(own string) string {
			return fmt.Sprintf("%x\r\n%s\r\n0\r\n%s\r\n", len(own), own, strings.Repeat("X-Trailer: 1\r\n", 20_000))
		}),
		{Name: "chunks that stop", Want: NoAnswer, Serve: func(x *Exchange) bool {
			x.Send(x.lines("Transfer-Encoding: chunked\r\n", "5\r\nansw"))
			return false
		}},
		coded("gzip, chunked", "Transfer-Encoding: gzip, chunked\r\n"),
		coded("chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
		coded("identity", "Transfer-Encoding: identity\r\n"),
		coded("xchunked", "Transfer-Encoding: xchunked\r\n"),
		{Name: "chunks in HTTP/1.0", Want: NoAnswer, Serve: func(x *Exchange) bool {
			return x.Send("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n" + Poison + "\r\n0\r\n\r\n")
		}},
	}
}

// paces are answers that come at the wrong time, or slowly.
func paces() []Fault {
	return []Fault{
		{Name: "a slow body", Want: OwnAnswer, Serve: func(x *Exchange) bool {
			own := x.Own()
			head := len(own) - len(Own(x.Body))
			if !x.Send(own[:head]) {
				return false
			}
			for _, b := range own[head:] {
				if !x.Send(string(b)) || !x.Pause(100*time.Microsecond) {
					return false
				}
			}
			return true
		}},
		{Name: "answers before it has read the body", Want: Either, BeforeBody: true, Serve: func(x *Exchange) bool {
			x.Send("HTTP/1.1 413 Content Too Large\r\nX-Inngest-Sdk: faulty:v1.0.0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			x.Hang()
			return false
		}},
		{Name: "never answers", Want: NoAnswer, Hangs: true, Serve: func(x *Exchange) bool { x.Hang(); return false }},
	}
}
