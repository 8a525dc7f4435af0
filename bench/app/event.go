package app

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// Paths of the event API that the app plays too. It reads no JSON: an event is
// what has EventMark in it.
const (
	EventPath = "/e/"
	// EventsPath answers how many requests with events came so far, and how many
	// events in them.
	EventsPath = "/events"
	EventMark  = `{"name":"bench/`
)

// events takes the events of one request and answers their ids, which a seed
// decides as on the server. It works for as long as Options.EventCost says and
// answers after Options.EventDelay.
func (a *app) events(c *fasthttp.RequestCtx) {
	n := bytes.Count(c.Request.Body(), []byte(EventMark))
	seed, err := inngest.ParseSeed(string(c.Request.Header.Peek(inngest.HeaderEventIDSeed)))
	if err != nil {
		seed.Millis = uint64(time.Now().UnixMilli())
		_, _ = rand.Read(seed.Entropy[:]) // cannot fail
	}
	work(a.options.EventCost)
	if a.options.EventDelay > 0 {
		time.Sleep(a.options.EventDelay)
	}
	body := append(make([]byte, 0, 32+29*n), `{"ids":["`...)
	for i := range n {
		if i > 0 {
			body = append(body, `","`...)
		}
		body = seed.AppendID(body, i+1)
	}
	body = append(body, "\"],\"status\":200}\n"...)
	c.SetContentType("application/json")
	c.Response.SetBodyRaw(body)
	a.posts.Add(1)
	a.eventsCame.Add(int64(n))
}

func (a *app) eventCounts(c *fasthttp.RequestCtx) {
	fmt.Fprintf(c, "%d %d", a.posts.Load(), a.eventsCame.Load())
}

// work uses the processor for about d, counted as time that passes: on a machine
// that has other things to do it is less.
func work(d time.Duration) {
	if d <= 0 {
		return
	}
	var block [64]byte
	for start := time.Now(); time.Since(start) < d; {
		sum := sha256.Sum256(block[:])
		copy(block[:], sum[:])
	}
}
