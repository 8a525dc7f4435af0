package outbound

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// Fields of the messages that are rewritten (proto/connect/v1/connect.proto of
// inngest/inngest 1.43).
const (
	startGatewayEndpoint = 2 // StartResponse.gateway_endpoint
	startSyncToken       = 5 // StartResponse.sync_token: the bearer token of the request, once more

	messageKind       = 1 // ConnectMessage.kind
	messagePayload    = 2 // ConnectMessage.payload
	kindWorkerConnect = 1 // GatewayMessageType.WORKER_CONNECT; 0, GATEWAY_HELLO, is not on the wire
	workerAuthData    = 3 // WorkerConnectRequestData.auth_data
	authSyncToken     = 2 // AuthData.sync_token
)

const (
	ticketPath = "/gateway/connect/"

	// Workers dial at once after the start request (the Go SDK within 10 s).
	ticketLife = time.Minute
	maxTickets = 10000

	// An answer of /v0/connect/start holds two tokens and a URL.
	maxStartAnswer = 64 << 10
)

// A ticket stands in a worker's URL for the endpoint that Inngest named.
type ticket struct {
	endpoint  *url.URL
	syncToken string // what the worker must not know; empty if it may
	expires   time.Time
}

// tickets are bounded in number and time: when there is no room the oldest
// goes, and its worker asks for another.
type tickets struct {
	mu    sync.Mutex
	byID  map[string]ticket
	order []string // by age, the oldest first; all live equally long
}

func newTickets() *tickets { return &tickets{byID: map[string]ticket{}} }

func (t *tickets) put(v ticket) (id string) {
	id = rand.Text()
	now := time.Now()
	v.expires = now.Add(ticketLife)
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.order) > 0 && (len(t.order) >= maxTickets || now.After(t.byID[t.order[0]].expires)) {
		delete(t.byID, t.order[0])
		t.order = t.order[1:]
	}
	t.byID[id] = v
	t.order = append(t.order, id)
	return id
}

func (t *tickets) get(id string) (ticket, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v, ok := t.byID[id]
	return v, ok && time.Now().Before(v.expires)
}

// start rewrites the answer to a Connect worker's start request: the endpoint
// becomes a URL of this listener, and the real token, which the server repeats,
// a word that only this listener understands.
func (s *Server) start(rc *fasthttp.RequestCtx, x *exchange, a *http.Response) *refusal {
	defer a.Body.Close()
	text, err := io.ReadAll(io.LimitReader(a.Body, maxStartAnswer+1))
	if err == nil {
		text, err = s.rewriteStart(text, x, a.Header.Get("Content-Encoding"))
	}
	if err != nil {
		r := unavailable(http.StatusBadGateway, err)
		r.detail = "Inngest's answer to the start request could not be read, so the worker cannot be sent to this gateway."
		return r
	}
	copyHead(&rc.Response, a)
	rc.Response.SetBodyRaw(text)
	return nil
}

func (s *Server) rewriteStart(text []byte, x *exchange, coding string) ([]byte, error) {
	if coding != "" {
		return nil, fmt.Errorf("content coding %q", coding)
	}
	if len(text) > maxStartAnswer {
		return nil, fmt.Errorf("more than %d bytes", maxStartAnswer)
	}
	origin, err := s.socketOrigin(x.q.host)
	if err != nil {
		return nil, err
	}
	endpoint, err := stringField(text, startGatewayEndpoint)
	if err != nil {
		return nil, err
	}
	t := ticket{}
	if t.endpoint, err = dialURL(endpoint); err != nil {
		return nil, err
	}
	if x.grant.exchanged {
		if t.syncToken, err = stringField(text, startSyncToken); err != nil {
			return nil, err
		}
	}
	id := s.tickets.put(t)
	text, err = replaceField(text, startGatewayEndpoint, func([]byte) ([]byte, error) {
		return []byte(origin + ticketPath + id), nil
	})
	if err == nil && x.grant.exchanged {
		text, err = replaceField(text, startSyncToken, func([]byte) ([]byte, error) { return []byte(id), nil })
	}
	return text, err
}

// socketOrigin is where workers reach this listener.
func (s *Server) socketOrigin(host string) (string, error) {
	if s.opts.AppsURL != "" {
		return "ws" + strings.TrimSuffix(strings.TrimPrefix(s.opts.AppsURL, "http"), "/"), nil
	}
	u, err := url.Parse("ws://" + host)
	if err != nil || host == "" || u.Host != host || u.User != nil {
		return "", errors.New("the request's Host is no host, and the gateway was not told its own URL")
	}
	return "ws://" + host, nil
}

// dialURL turns the endpoint of a worker into what net/http dials.
func dialURL(endpoint string) (*url.URL, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, errors.New("gateway_endpoint is no URL")
	}
	switch u.Scheme {
	case "ws":
		u.Scheme = "http"
	case "wss":
		u.Scheme = "https"
	default:
		return nil, fmt.Errorf("gateway_endpoint has the scheme %q", u.Scheme)
	}
	if u.Host == "" {
		return nil, errors.New("gateway_endpoint has no host")
	}
	return u, nil
}

// worker passes the WebSocket of a Connect worker to the endpoint behind its
// ticket.
func (s *Server) worker(rc *fasthttp.RequestCtx, q *request) *refusal {
	id := q.segments[len(q.segments)-1]
	t, ok := s.tickets.get(id)
	if !ok {
		return &refusal{status: http.StatusNotFound, code: inngest.CodeUnknownPath,
			detail: "This Connect address is unknown or too old. Workers get one for each connection from /v0/connect/start."}
	}
	if !q.upgrade {
		return malformed("This address is for WebSockets alone.")
	}
	req := (&http.Request{Method: http.MethodGet, URL: t.endpoint, Header: q.header()})
	if t.syncToken == "" {
		return s.dialSocket(rc, q, req, nil)
	}
	// Compressed messages could not be read.
	req.Header.Del("Sec-WebSocket-Extensions")
	return s.dialSocket(rc, q, req, func(far io.Writer, near io.Reader) error {
		return passGreeting(far, near, s.opts.MaxBody, func(token string) string {
			if token == id {
				return t.syncToken
			}
			return token
		})
	})
}

// giveToken replaces the token in a WORKER_CONNECT message and tells whether
// the message was one.
func giveToken(message []byte, exchange func(string) string) (out []byte, was bool, err error) {
	kind, err := varintField(message, messageKind)
	if err != nil || kind != kindWorkerConnect {
		return message, false, err
	}
	swap := func(old []byte) ([]byte, error) { return []byte(exchange(string(old))), nil }
	out, err = replaceField(message, messagePayload, func(payload []byte) ([]byte, error) {
		return replaceField(payload, workerAuthData, func(auth []byte) ([]byte, error) {
			return replaceField(auth, authSyncToken, swap)
		})
	})
	return out, true, err
}

// replaceField returns a message with the value of each length-delimited field
// of a number replaced; all others stay byte for byte, unknown ones too.
func replaceField(message []byte, number protowire.Number, with func([]byte) ([]byte, error)) ([]byte, error) {
	out := make([]byte, 0, len(message)+64)
	err := eachField(message, func(n protowire.Number, t protowire.Type, field, value []byte) error {
		if n != number || t != protowire.BytesType {
			out = append(out, field...)
			return nil
		}
		v, err := with(value)
		out = protowire.AppendBytes(protowire.AppendTag(out, n, t), v)
		return err
	})
	return out, err
}

// stringField returns the last value of a string field, as readers of protobuf
// do; empty if it is not there.
func stringField(message []byte, number protowire.Number) (string, error) {
	var found string
	err := eachField(message, func(n protowire.Number, t protowire.Type, _, value []byte) error {
		if n == number && t == protowire.BytesType {
			found = string(value)
		}
		return nil
	})
	return found, err
}

func varintField(message []byte, number protowire.Number) (uint64, error) {
	var found uint64
	err := eachField(message, func(n protowire.Number, t protowire.Type, _, value []byte) error {
		if n == number && t == protowire.VarintType {
			found, _ = protowire.ConsumeVarint(value)
		}
		return nil
	})
	return found, err
}

// eachField walks over the fields of a message: the whole field, and its value
// without tag and length.
func eachField(message []byte, do func(n protowire.Number, t protowire.Type, field, value []byte) error) error {
	for len(message) > 0 {
		n, t, tag := protowire.ConsumeTag(message)
		if tag < 0 {
			return fmt.Errorf("protobuf: %w", protowire.ParseError(tag))
		}
		size := protowire.ConsumeFieldValue(n, t, message[tag:])
		if size < 0 {
			return fmt.Errorf("protobuf: %w", protowire.ParseError(size))
		}
		value := message[tag : tag+size]
		if t == protowire.BytesType {
			value, _ = protowire.ConsumeBytes(value)
		}
		if err := do(n, t, message[:tag+size], value); err != nil {
			return err
		}
		message = message[tag+size:]
	}
	return nil
}
