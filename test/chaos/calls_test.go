package chaos

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

// A barrage is calls of different runs that are made at once, without a server:
// what each caller is told is looked at.
type barrage struct {
	answers []reply
	done    sync.WaitGroup
}

// A reply is what one caller was told.
type reply struct {
	status     int
	code       string // of a refusal
	retryAfter string
	sdk        bool
	err        error
}

// fire makes n calls whose bodies have about that size, each on a connection of
// its own.
func fire(tb testing.TB, address, path string, n, size int) *barrage {
	tb.Helper()
	filler := bytes.Repeat([]byte{'x'}, size)
	b := &barrage{answers: make([]reply, n)}
	for i := range n {
		b.done.Go(func() { b.answers[i] = oneCall(address, path, i, filler) })
	}
	tb.Cleanup(b.done.Wait)
	return b
}

// wait waits for the last answer and counts them by what they say.
func (b *barrage) wait() map[string]int {
	b.done.Wait()
	said := map[string]int{}
	for _, r := range b.answers {
		said[r.String()]++
	}
	return said
}

func (r reply) String() string {
	switch {
	case r.err != nil:
		return "no answer"
	case r.code != "":
		return r.code
	default:
		return fmt.Sprint(r.status)
	}
}

// callOf is one of many calls, each of a run of its own, with further lines in
// its head. The filler is every call's: none has a copy of it.
func callOf(path string, n int, lines string, filler []byte) net.Buffers {
	event := fmt.Sprintf(`{"data":{"n":%d},"id":"01M879HYV9KVZ36VGG0195KMKZ","name":"t/shop","ts":1795541236585,"user":{}}`, n)
	body := [][]byte{fmt.Appendf(nil, `{"ctx":{"attempt":0,"disable_immediate_execution":false,"env":"","fn_id":"1992b630-0d2d-5c4f-a5d2-a04bad8542c7","generation_id":1,`+
		`"job_id":"34y97adbtm%d","max_attempts":5,"qi_id":"MzR5OTdhZGJ0bXN6cjo6ZGVmYXVsdA==","request_id":"01M879HZ10GR43V6JTEF2KM5HF",`+
		`"run_id":"01M879HYYB4NJQFZMS5KAZ%04d","stack":{"current":0,"stack":[]},"step_id":"step","use_api":false},`+
		`"defers":{},"event":%s,"events":[%s],"filler":"`, n, n, event, event), filler, []byte(`","steps":{},"use_api":false,"version":-1}`)}
	length := 0
	for _, part := range body {
		length += len(part)
	}
	head := fmt.Sprintf("POST %s?fnId=shop-work&stepId=step HTTP/1.1\r\nHost: gateway\r\n%sX-Inngest-Signature: %s\r\nContent-Length: %d\r\n\r\n",
		path, lines, signParts(body), length)
	return append(net.Buffers{[]byte(head)}, body...)
}

func oneCall(address, path string, n int, filler []byte) reply {
	request := callOf(path, n, "Connection: close\r\n", filler)
	c, err := net.Dial("tcp", address)
	if err != nil {
		return reply{err: err}
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * patience))
	sent := make(chan struct{})
	go func() { // a refusal may come before all is written
		defer close(sent)
		request.WriteTo(c)
	}()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		c.Close()
		<-sent
		return reply{err: err}
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	c.Close()
	<-sent
	return reply{
		status: resp.StatusCode, code: resp.Header.Get("X-Gateway-Error"),
		retryAfter: resp.Header.Get("Retry-After"), sdk: resp.Header.Get("X-Inngest-Sdk") != "",
	}
}

// signParts signs a body that does not lie in one piece.
func signParts(body [][]byte) string {
	now := strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, []byte(strings.TrimPrefix(recorded.SigningKey, "signkey-prod-")))
	for _, part := range append(body, []byte(now)) {
		mac.Write(part)
	}
	return fmt.Sprintf("t=%s&s=%x", now, mac.Sum(nil))
}
