package faultyapp

import (
	"fmt"
	"strings"
	"time"
)

// Outcome is what a careful client makes of a fault.
type Outcome string

// The outcomes. Where a fault is seen only sometimes, both are right: never the
// answer to another request.
const (
	OwnAnswer Outcome = "own answer"
	NoAnswer  Outcome = "error"
	Either    Outcome = "own answer or error"
)

// A Fault is one way to answer wrongly.
type Fault struct {
	Name       string
	Want       Outcome
	BeforeBody bool // answers before the body of the request is read
	Late       bool // sends bytes behind its answer when the client may have sent its next request: then nobody can tell
	Hangs      bool // stops inside the exchange: only a limit of the client's ends it
	// Serve answers one request. It returns whether the connection goes on.
	Serve func(x *Exchange) (goOn bool)
}

// None is no fault.
var None = Fault{Name: "none", Want: OwnAnswer, Serve: func(x *Exchange) bool { return x.Send(x.Own()) }}

// Named returns the fault of the repertoire that has that name.
func Named(name string) Fault {
	for _, f := range Repertoire() {
		if f.Name == name {
			return f
		}
	}
	panic(fmt.Sprintf("faultyapp: no fault is called %q", name))
}

// Repertoire returns every fault.
func Repertoire() []Fault {
	all := []Fault{None}
	all = append(all, ends()...)
	all = append(all, lengths()...)
	all = append(all, extras()...)
	all = append(all, heads()...)
	all = append(all, chunks()...)
	return append(all, paces()...)
}

// ends are connections that end at the wrong time.
func ends() []Fault {
	return []Fault{
		{Name: "resets without a word", Want: NoAnswer, Serve: func(x *Exchange) bool { x.Reset(); return false }},
		{Name: "closes without a word", Want: NoAnswer, Serve: func(*Exchange) bool { return false }},
		ResetsAfter(1), ResetsAfter(40), ResetsAfter(100),
		{Name: "half an answer", Want: NoAnswer, Serve: func(x *Exchange) bool {
			own := x.Own()
			x.Send(own[:len(own)-len(Own(x.Body))/2])
			return false
		}},
		{Name: "closes behind an answer", Want: Either, Serve: func(x *Exchange) bool { x.Send(x.Own()); return false }},
		{Name: "closes instead of its second answer", Want: Either, BeforeBody: true, Serve: func(x *Exchange) bool {
			if x.N%2 == 0 {
				return false
			}
			x.readBody()
			return x.Send(x.Own())
		}},
		{Name: "body until the end", Want: OwnAnswer, Serve: func(x *Exchange) bool {
			x.Send(x.lines("", Own(x.Body)))
			return false
		}},
		{Name: "reset instead of the end", Want: NoAnswer, Serve: func(x *Exchange) bool {
			x.Send(x.lines("", Own(x.Body)))
			x.Pause(5 * time.Millisecond)
			x.Reset()
			return false
		}},
		{Name: "answers after the hang-up", Want: NoAnswer, Hangs: true, Serve: func(x *Exchange) bool {
			x.untilHangUp()
			x.Send(x.Poison())
			return false
		}},
	}
}

// ResetsAfter answers with the first n bytes and a reset.
func ResetsAfter(n int) Fault {
	return Fault{Name: fmt.Sprintf("resets after %d bytes", n), Want: NoAnswer, Serve: func(x *Exchange) bool {
		own := x.Own()
		x.Send(own[:min(n, len(own))])
		x.Pause(5 * time.Millisecond) // so that the bytes come before the reset
		x.Reset()
		return false
	}}
}

// lengths are bodies whose length is not the declared one.
func lengths() []Fault {
	with := func(name string, want Outcome, lines func(n int) string) Fault {
		return Fault{Name: name, Want: want, Serve: func(x *Exchange) bool {
			return x.Send(x.lines(lines(len(Own(x.Body))), Own(x.Body)))
		}}
	}
	return []Fault{
		{Name: "declares too much and closes", Want: NoAnswer, Serve: func(x *Exchange) bool {
			x.Send(x.head(len(Own(x.Body))+10) + Own(x.Body))
			return false
		}},
		{Name: "declares too much and sends another answer", Want: Either, Serve: func(x *Exchange) bool {
			x.Send(x.head(len(Own(x.Body))+10) + Own(x.Body))
			x.Pause(5 * time.Millisecond)
			x.Send(x.Poison())
			return false
		}},
		{Name: "declares too little", Want: Either, Serve: func(x *Exchange) bool {
			return x.Send(x.head(len(Own(x.Body))) + Own(x.Body) + Poison)
		}},
		with("both lengths", NoAnswer, func(n int) string {
			return fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n", n)
		}),
		with("two lengths", NoAnswer, func(n int) string {
			return fmt.Sprintf("Content-Length: %d\r\nContent-Length: %d\r\n", n, n+1)
		}),
		with("the same length twice", OwnAnswer, func(n int) string {
			return fmt.Sprintf("Content-Length: %d\r\ncontent-length: %d\r\n", n, n)
		}),
		with("a list of lengths", NoAnswer, func(n int) string { return fmt.Sprintf("Content-Length: %d, %d\r\n", n, n) }),
		with("a length with a sign", NoAnswer, func(n int) string { return fmt.Sprintf("Content-Length: +%d\r\n", n) }),
		with("a negative length", NoAnswer, func(int) string { return "Content-Length: -1\r\n" }),
		with("a hexadecimal length", NoAnswer, func(n int) string { return fmt.Sprintf("Content-Length: 0x%x\r\n", n) }),
		with("a length that overflows", NoAnswer, func(int) string { return "Content-Length: 18446744073709551616\r\n" }),
		with("a length without digits", NoAnswer, func(int) string { return "Content-Length: \r\n" }),
		{Name: "a 204 with a body", Want: Either, Serve: func(x *Exchange) bool {
			return x.Send("HTTP/1.1 204 No Content\r\nX-Inngest-Sdk: faulty:v1.0.0\r\nContent-Length: 6\r\n\r\n" + Poison)
		}},
	}
}

// extras are bytes that nobody asked for.
func extras() []Fault {
	return []Fault{
		{Name: "two answers at once", Want: Either, Serve: func(x *Exchange) bool { return x.Send(x.Own() + x.Poison()) }},
		{Name: "two answers one by one", Want: Either, Late: true, Serve: func(x *Exchange) bool { return x.Send(x.Own()) && x.Send(x.Poison()) }},
		LateExtra(500 * time.Microsecond),
		{Name: "an empty line behind the answer", Want: Either, Serve: func(x *Exchange) bool {
			return x.Send(x.Own()) && x.Send("\r\n")
		}},
		{Name: "an unasked 101", Want: NoAnswer, Serve: func(x *Exchange) bool {
			x.Send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + x.Poison())
			return true
		}},
		{Name: "interim answers", Want: OwnAnswer, Serve: func(x *Exchange) bool {
			return x.Send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + x.Own())
		}},
		{Name: "endless interim answers", Want: NoAnswer, Serve: func(x *Exchange) bool {
			for x.Send(strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 100)) {
			}
			return false
		}},
	}
}

// LateExtra sends an answer, and another one after d.
func LateExtra(d time.Duration) Fault {
	return Fault{Name: fmt.Sprintf("another answer after %v", d), Want: Either, Late: true, Serve: func(x *Exchange) bool {
		return x.Send(x.Own()) && x.Pause(d) && x.Send(x.Poison())
	}}
}
