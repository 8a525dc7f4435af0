package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite what the scripts and golden files expect")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"gateway": func() { os.Exit(run()) }})
}

// Keys of the scripts.
const (
	testKey  = "signkey-prod-1234567890abcdef1234567890abcdef"
	otherKey = "signkey-prod-fedcba0987654321fedcba0987654321"
)

// Each script types commands as people do, the wrong ones included. Besides the
// commands of package testscript there are
//
//	exits STATUS gateway ARGS...           run it and want that exit status
//	start NAME REGEXP gateway ARGS...      run it in the background and wait until its output matches;
//	                                       named groups of the expression become variables
//	await NAME REGEXP                      wait until its output matches
//	interrupt NAME                         interrupt it, want exit status 0; its output is then in NAME.out and NAME.err
func TestScripts(t *testing.T) {
	configs, err := filepath.Abs("../../configs")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: *update,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "start": start, "await": awaitOutput, "interrupt": interrupt,
		},
		Setup: func(e *testscript.Env) error {
			server := httptest.NewServer(http.HandlerFunc(serveEvents))
			e.Defer(server.Close)
			taken, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			e.Defer(func() { taken.Close() })
			e.Vars = append(e.Vars,
				"KEY="+testKey,
				"OTHER_KEY="+otherKey,
				"CONFIGS="+configs,
				"EVENTS="+server.URL,
				"EVENTS_ADDRESS="+strings.TrimPrefix(server.URL, "http://"),
				"TAKEN="+taken.Addr().String(),
				"NOBODY=127.0.0.1:1",
			)
			e.Values[processes{}] = map[string]*process{}
			return nil
		},
	})
}

// processes is the key of a script's processes.
type processes struct{}

// serveEvents is an event API that knows one key, and an admin listener of a
// gateway that is not ready.
func serveEvents(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	switch r.URL.Path {
	case "/e/good", "/behind/a/path/e/good":
		fmt.Fprintf(w, `{"ids":["%s"],"status":200}`, strings.ReplaceAll(string(body), `"`, `'`))
	case "/plain":
		fmt.Fprintf(w, `{"said":%s}`, body)
	case "/e/refuses":
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, `{"ids":[""],"error":"no thanks","status":400}`)
	case "/e/hangs":
		<-r.Context().Done()
	case "/e/page":
		io.WriteString(w, "<html>Inngest</html>")
	case "/status":
		http.ServeFile(w, r, "testdata/status.json")
	case "/readyz":
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, `{"status":"not ready","checks":[]}`)
	default:
		w.WriteHeader(http.StatusUnauthorized)
		io.WriteString(w, `{"error":"Event key not found","status":401}`)
	}
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	switch err := ts.Exec(args[1], args[2:]...); {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	default:
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit status is %d, want %d", got, want)
	}
}

func start(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 || args[2] != "gateway" {
		ts.Fatalf("usage: start NAME REGEXP gateway ARGS...")
	}
	var environ []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "INNGEST_SIGNING_KEY", "INNGEST_EVENT_KEY", "GATEWAY_CONFIG", "GATEWAY_APP_URL"} {
		if value := ts.Getenv(name); value != "" {
			environ = append(environ, name+"="+value)
		}
	}
	p, err := startProcess(ts.MkAbs("."), environ, args[3:]...)
	ts.Check(err)
	ts.Defer(p.kill)
	ts.Value(processes{}).(map[string]*process)[args[0]] = p
	awaitOutput(ts, false, args[:2])
}

func named(ts *testscript.TestScript, name string) *process {
	p := ts.Value(processes{}).(map[string]*process)[name]
	if p == nil {
		ts.Fatalf("nothing was started as %s", name)
	}
	return p
}

func awaitOutput(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await NAME REGEXP")
	}
	pattern, err := regexp.Compile(args[1])
	ts.Check(err)
	found, err := named(ts, args[0]).await(pattern)
	ts.Check(err)
	for i, group := range pattern.SubexpNames() {
		if group != "" {
			ts.Setenv(group, found[i])
		}
	}
}

func interrupt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: interrupt NAME")
	}
	p := named(ts, args[0])
	err := p.end(syscall.SIGINT)
	ts.Logf("%s", p)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".out"), []byte(p.stdout.String()), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".err"), []byte(p.stderr.String()), 0o600))
}
