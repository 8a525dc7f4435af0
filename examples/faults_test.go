package examples

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/devserver"
)

// A shop is the order example's backend in Go: it counts what it does, and does
// what fault says before that.
type shop struct {
	fault func(w http.ResponseWriter, r *http.Request, n int) bool // true: that was the answer; n counts requests of this kind from 1

	mu   sync.Mutex
	seen map[string]int // requests, by method and path
	done map[string]int // those that were answered with 200, by order, method and path
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind := r.Method + " " + r.URL.Path
	var body struct{ OrderID string }
	json.NewDecoder(r.Body).Decode(&body)
	s.mu.Lock()
	s.seen[kind]++
	n := s.seen[kind]
	s.mu.Unlock()
	if s.fault != nil && s.fault(w, r, n) {
		return
	}
	s.mu.Lock()
	s.done[r.Header.Get("Idempotency-Key")]++
	s.mu.Unlock()
	answer := object{"available": true, "missing": []string{}, "id": "pay-" + body.OrderID}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(answer)
}

// requests returns how many came, by method and path.
func (s *shop) requests() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.seen)
}

// newShop starts a shop and returns its port.
func newShop(t *testing.T, fault func(http.ResponseWriter, *http.Request, int) bool) (*shop, string) {
	t.Helper()
	s := &shop{fault: fault, seen: map[string]int{}, done: map[string]int{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return s, u.Port()
}

func order(n int) object {
	return object{"orderId": fmt.Sprint("o-", n), "customerId": fmt.Sprint("c-", n), "amount": 120, "items": []string{"book"}}
}

// once wants every step of every run to have been made exactly once.
func (s *shop) once(t *testing.T, runs int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if want := 4 * runs; len(s.done) != want {
		t.Errorf("%d steps were made, want %d", len(s.done), want)
	}
	for step, n := range s.done {
		if n != 1 {
			t.Errorf("step %s was made %d times", step, n)
		}
	}
}

// A backend that is not ready, or that dies while a step runs, costs that step
// an attempt and no other step anything.
func TestOrder_triesOnlyTheStepThatFailed(t *testing.T) {
	for name, fault := range map[string]func(http.ResponseWriter){
		"not ready": func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
		},
		"dies": func(w http.ResponseWriter) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, settings ...string) {
				t.Parallel()
				s, port := newShop(t, func(w http.ResponseWriter, r *http.Request, n int) bool {
					if r.URL.Path != "/payments" || n > 1 {
						return false
					}
					fault(w)
					return true
				})
				d := serve(t, "order/order.yaml", port, "9001", append(settings, "GATEWAY_FUNCTION_APPS__0__OUTAGE_BUDGET=1m")...)
				d.wants("process-order", order(1), object{"status": "confirmed", "paymentId": "pay-o-1"})
				s.once(t, 1)
				want := map[string]int{"POST /validate": 1, "POST /inventory/check": 1, "POST /payments": 2, "PUT /orders/o-1/status": 1}
				if diff := cmp.Diff(want, s.requests()); diff != "" {
					t.Errorf("requests (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// An error that stays is caught by the program when the attempts are used up.
func TestOrder_catchesAnErrorThatStays(t *testing.T) {
	s, port := newShop(t, func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if r.URL.Path != "/payments" {
			return false
		}
		w.Header().Set("Retry-After", "1")
		http.Error(w, `{"message": "the bank is closed"}`, http.StatusBadGateway)
		return true
	})
	d := serve(t, "order/order.yaml", port, "9001")
	d.wants("process-order", order(1), object{"status": "payment-failed", "reason": "the bank is closed"})
	if n := s.requests()["POST /payments"]; n != 4 {
		t.Errorf("%d payments were tried, want one and 3 retries", n)
	}
}

// Many runs at once: each step of each is made once.
func TestOrder_runsManyAtOnce(t *testing.T) {
	const runs = 1000
	each(t, func(t *testing.T, settings ...string) {
		s, port := newShop(t, nil)
		d := serve(t, "order/order.yaml", port, "9001", settings...)
		var all sync.WaitGroup
		for n := range runs {
			all.Go(func() {
				raw, err := json.Marshal(order(n))
				if err != nil {
					t.Error(err)
					return
				}
				run, err := d.Invoke(t.Context(), "process-order", "", raw)
				if err != nil || run.Status != devserver.Completed || !strings.Contains(string(run.Output), fmt.Sprintf(`"pay-o-%d"`, n)) {
					t.Errorf("run %d: %s %s, %v", n, run.Status, run.Output, err)
				}
			})
		}
		all.Wait()
		s.once(t, runs)
	})
}

// The same of conversations: a step is made once, though the backend is asked
// many times what comes next.
func TestConversation_runsManyAtOnce(t *testing.T) {
	const runs = 1000
	to, err := url.Parse("http://127.0.0.1:" + startGo(t, "conversation/go"))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	made := map[string]int{}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.Transport = &http.Transport{MaxIdleConnsPerHost: 256}
	counting := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if key := r.Header.Get("Idempotency-Key"); key != "" {
			mu.Lock()
			made[key]++
			mu.Unlock()
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(counting.Close)
	_, port, _ := strings.Cut(strings.TrimPrefix(counting.URL, "http://"), ":")
	d := serve(t, "conversation/conversation.yaml", port, "9101")
	var all sync.WaitGroup
	for n := range runs {
		all.Go(func() {
			run, err := d.Invoke(t.Context(), "conversation", "", json.RawMessage(`{"amount":120}`))
			if err != nil || run.Status != devserver.Completed || !strings.Contains(string(run.Output), `"charge-`+run.ID) {
				t.Errorf("run %d: %s %s, %v", n, run.Status, run.Output, err)
			}
		})
	}
	all.Wait()
	mu.Lock()
	defer mu.Unlock()
	if want := 3 * runs; len(made) != want { // charge, mail, ship
		t.Errorf("%d steps were made, want %d", len(made), want)
	}
	for key, n := range made {
		if n != 1 {
			t.Errorf("%s was made %d times", key, n)
		}
	}
}
