package sdk

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/signature"
)

// callBody is a call of the function simple as the server writes it (recording
// 49), in canonical form.
func callBody(n int) []byte {
	run := fmt.Sprintf("01M879HYYB4NJQFZMS5KAZ%04d", n)
	event := `{"data":{"n":5},"id":"01M879HYV9KVZ36VGG0195KMKZ","name":"t/simple","ts":1795541236585,"user":{}}`
	return []byte(`{"ctx":{"attempt":0,"disable_immediate_execution":false,"env":"","fn_id":"1992b630-0d2d-5c4f-a5d2-a04bad8542c7","generation_id":1,` +
		`"job_id":"34y97adbtm` + strconv.Itoa(n) + `","max_attempts":5,"qi_id":"MzR5OTdhZGJ0bXN6cjo6ZGVmYXVsdA==","request_id":"01M879HZ10GR43V6JTEF2KM5HF",` +
		`"run_id":"` + run + `","stack":{"current":0,"stack":[]},"step_id":"step","use_api":false},` +
		`"defers":{},"event":` + event + `,"events":[` + event + `],"steps":{},"use_api":false,"version":-1}`)
}

// post sends a call to the gateway with these signature headers.
func post(ctx context.Context, gw gatewayUnderTest, body []byte, signatures ...string) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, gw.appURL+"?fnId=app-simple&stepId=step", bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header["X-Inngest-Signature"] = signatures
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp, text, err
}

// The server signs with the old key until somebody changes it, and with the new
// one from then on; nobody stops for that.
func TestKeys_rotationUnderLoadFailsNoCall(t *testing.T) {
	const workers, each = 8, 50
	keys := []signature.Key{parseKey(t, productionKey), parseKey(t, rotatedKey)}
	for _, mode := range modes() {
		t.Run(mode, func(t *testing.T) {
			s := startServer(t, 0, productionKey)
			_, gw := startBehindGateway(t, s, sdks()["go"], mode)
			var made, failed atomic.Int64
			var wg sync.WaitGroup
			for w := range workers {
				wg.Go(func() {
					for i := range each {
						key := keys[0]
						if made.Add(1) > workers*each/2 {
							key = keys[1]
						}
						body := callBody(w*each + i)
						resp, text, err := post(t.Context(), gw, body, signature.Sign(key, body, time.Now()))
						if err != nil || resp.StatusCode != http.StatusOK {
							failed.Add(1)
							t.Errorf("call = %v, %v: %s", resp, err, text)
							return
						}
					}
				})
			}
			wg.Wait()
			if n := failed.Load(); n != 0 {
				t.Errorf("%d calls failed", n)
			}
		})
	}
}

func TestSignature_whatIsNotBelievedNeverReachesTheApp(t *testing.T) {
	body := callBody(1)
	key, other := parseKey(t, productionKey), parseKey(t, localKey)
	now := time.Now()
	good := signature.Sign(key, body, now)
	stamp, mac, _ := strings.Cut(strings.TrimPrefix(good, "t="), "&s=")
	tampered := bytes.Replace(body, []byte(`"n":5`), []byte(`"n":6`), 2)

	cases := map[string]struct {
		body       []byte
		signatures []string
		code       string
	}{
		"no header":          {body, nil, "signature_missing"},
		"empty header":       {body, []string{""}, "signature_missing"},
		"another key":        {body, []string{signature.Sign(other, body, now)}, "signature_mismatch"},
		"tampered body":      {tampered, []string{good}, "signature_mismatch"},
		"too old":            {body, []string{signature.Sign(key, body, now.Add(-6*time.Minute))}, "signature_expired"},
		"from the future":    {body, []string{signature.Sign(key, body, now.Add(6*time.Minute))}, "signature_expired"},
		"another time":       {body, []string{fmt.Sprintf("t=%d&s=%s", now.Unix()-1, mac)}, "signature_mismatch"},
		"two headers":        {body, []string{good, good}, "signature_malformed"},
		"s twice":            {body, []string{good + "&s=" + mac}, "signature_malformed"},
		"t twice":            {body, []string{"t=" + stamp + "&" + good}, "signature_malformed"},
		"other order":        {body, []string{"s=" + mac + "&t=" + stamp}, "signature_malformed"},
		"signed time":        {body, []string{"t=+" + stamp + "&s=" + mac}, "signature_malformed"},
		"negative time":      {body, []string{"t=-" + stamp + "&s=" + mac}, "signature_malformed"},
		"space before time":  {body, []string{"t= " + stamp + "&s=" + mac}, "signature_malformed"},
		"exponent":           {body, []string{"t=1e9&s=" + mac}, "signature_malformed"},
		"overflow":           {body, []string{"t=99999999999999999999&s=" + mac}, "signature_malformed"},
		"upper-case hex":     {body, []string{"t=" + stamp + "&s=" + strings.ToUpper(mac)}, "signature_malformed"},
		"short mac":          {body, []string{"t=" + stamp + "&s=" + mac[:62]}, "signature_malformed"},
		"no mac":             {body, []string{"t=" + stamp}, "signature_malformed"},
		"something else":     {body, []string{"Bearer " + mac}, "signature_malformed"},
		"unknown third part": {body, []string{good + "&v=1"}, "signature_malformed"},
	}
	for _, mode := range modes() {
		t.Run(mode, func(t *testing.T) {
			s := startServer(t, 0, productionKey)
			app, gw := startBehindGateway(t, s, sdks()["go"], mode)
			if resp, text, err := post(t.Context(), gw, body, good); err != nil || resp.StatusCode != http.StatusOK {
				t.Fatalf("a good call = %v, %v: %s", resp, err, text)
			}
			before := app.requests()
			for name, c := range cases {
				resp, text, err := post(t.Context(), gw, c.body, c.signatures...)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if got := resp.Header.Get("X-Gateway-Error"); resp.StatusCode != http.StatusUnauthorized || got != c.code {
					t.Errorf("%s = %d %s, want 401 %s: %s", name, resp.StatusCode, got, c.code, text)
				}
				if resp.Header.Get("X-Inngest-Sdk") != "" || resp.Header.Get("X-Inngest-No-Retry") == "true" {
					t.Errorf("%s: the refusal passes for an answer of the app: %v", name, resp.Header)
				}
			}
			if n := app.requests() - before; n != 0 {
				t.Errorf("the app saw %d requests that nobody signed", n)
			}
		})
	}
}
