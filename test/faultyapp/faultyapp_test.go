package faultyapp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestRepertoire_namesEachFaultOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range Repertoire() {
		if f.Name == "" || seen[f.Name] || f.Serve == nil || f.Want == "" {
			t.Errorf("fault %q is named twice or incomplete", f.Name)
		}
		seen[f.Name] = true
	}
	if len(seen) < 60 {
		t.Errorf("%d faults, there were more", len(seen))
	}
}

func TestApp_answersWellUnlessToldOtherwise(t *testing.T) {
	app := Start(t, Options{})
	for name, want := range map[string]string{"": Own("hello"), "trailers": Own("hello"), "a gateway's 502": Poison} {
		request, err := http.NewRequestWithContext(t.Context(), "POST", app.URL(), strings.NewReader("hello"))
		if err != nil {
			t.Fatal(err)
		}
		if name != "" {
			request.Header.Set(FaultHeader, name)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || string(body) != want {
			t.Errorf("fault %q: %q, %v; want %q", name, body, err, want)
		}
	}
	if app.Accepted() != 1 || app.Requests() != 3 {
		t.Errorf("%d connections, %d requests; want 1 and 3", app.Accepted(), app.Requests())
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestNetwork_behavesLikeSockets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network Network
		if _, err := network.Dial(t.Context(), "tcp", "app:80"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dial without listener: %v", err)
		}
		app := Start(t, Options{Listener: network.Listen("app:80"), Idle: 5 * time.Second})
		c, err := network.Dial(t.Context(), "tcp", "app:80")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 2\r\n\r\nhi")
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(answer.Body); string(body) != Own("hi") {
			t.Errorf("body %q, %v", body, err)
		}
		look := func(wantBytes int, want error) {
			t.Helper()
			synctest.Wait()
			if n, err := c.(*Conn).Peek(); n != wantBytes || err != want {
				t.Errorf("Peek = %d, %v; want %d, %v", n, err, wantBytes, want)
			}
		}
		time.Sleep(5*time.Second - 1)
		look(0, nil)
		time.Sleep(time.Nanosecond)
		look(0, io.EOF)
		if _, err := c.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("write to a closed end: %v", err)
		}
		c.SetReadDeadline(time.Now().Add(-1))
		var timeout interface{ Timeout() bool }
		if _, err := c.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("read after the deadline: %v", err)
		}
		c.Close()
		app.Stop()
	})
}
