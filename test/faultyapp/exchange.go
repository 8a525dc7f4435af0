package faultyapp

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// An Exchange is one request that is to be answered.
type Exchange struct {
	Conn    net.Conn
	In      *bufio.Reader
	Request *http.Request
	Body    string
	N       int // the request's number on its connection, from 1

	app *App
}

// Own returns the whole of the app's own answer, as it should be.
func (x *Exchange) Own() string {
	body := Own(x.Body)
	return x.head(len(body)) + body
}

// head returns the head of an SDK's answer with a body of that length.
func (x *Exchange) head(length int) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Inngest-Sdk: faulty:v1.0.0\r\n%sContent-Length: %d\r\n\r\n",
		x.app.announce, length)
}

// lines returns an answer with these header lines instead of a length.
func (x *Exchange) lines(lines, body string) string {
	return "HTTP/1.1 200 OK\r\nX-Inngest-Sdk: faulty:v1.0.0\r\n" + lines + "\r\n" + body
}

// Poison returns an answer that nobody asked for.
func (x *Exchange) Poison() string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nX-Inngest-Sdk: faulty:v1.0.0\r\nContent-Length: %d\r\n\r\n%s", len(Poison), Poison)
}

// Send writes s. False says that the client is gone.
func (x *Exchange) Send(s string) bool {
	_, err := x.Conn.Write([]byte(s))
	return err == nil
}

// Pause waits. False says that the app stops.
func (x *Exchange) Pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-x.app.over:
		return false
	}
}

// Hang waits until the client is gone or the app stops, and reads nothing.
func (x *Exchange) Hang() { <-x.app.over }

// Reset ends the connection with a reset instead of an orderly end.
func (x *Exchange) Reset() {
	below := x.Conn
	if c, ok := below.(*tls.Conn); ok {
		below = c.NetConn()
	}
	switch c := below.(type) {
	case *net.TCPConn:
		c.SetLinger(0)
		c.Close()
	case interface{ Reset() }:
		c.Reset()
	default:
		c.Close()
	}
}

// untilHangUp reads until the client ends the connection.
func (x *Exchange) untilHangUp() {
	for {
		if _, err := x.In.ReadByte(); err != nil {
			return
		}
	}
}

// readBody reads the body of a request whose fault reads it itself.
func (x *Exchange) readBody() {
	body, _ := io.ReadAll(x.Request.Body)
	x.Body = string(body)
}
