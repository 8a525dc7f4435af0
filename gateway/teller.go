package gateway

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/inngest-gateway/inngest-gateway/config"
	"github.com/inngest-gateway/inngest-gateway/devserver"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// A teller tells people what a Dev does. Each text leaves with one write, so
// that texts of several goroutines do not mix.
type teller struct {
	out     io.Writer
	terse   bool // of runs alone
	started time.Time

	mu    sync.Mutex
	apps  map[string]bool                  // those that were told of
	width struct{ function, step, op int } // of columns; they only grow
}

func newTeller(out io.Writer, terse bool) *teller {
	t := &teller{out: out, terse: terse, started: time.Now(), apps: map[string]bool{}}
	t.width.function, t.width.step, t.width.op = 10, 10, len("RunCompleted")
	return t
}

// printf prints. Who no longer reads needs no error.
func (t *teller) printf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.out, format, args...)
}

// registered tells of each app once, when it is registered for the first time.
// The longest function's name makes the width of the column before the first
// line needs it.
func (t *teller) registered(apps []devserver.App) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, a := range apps {
		if t.apps[a.Name] {
			continue
		}
		t.apps[a.Name] = true
		names := make([]string, len(a.Functions))
		for i, f := range a.Functions {
			names[i] = oneLine(f.Slug)
			widen(&t.width.function, names[i])
		}
		if t.terse {
			continue
		}
		fmt.Fprintf(t.out, "%s is registered: %s\n", oneLine(a.Name), strings.Join(names, ", "))
	}
}

// knows tells how many apps were told of, and whether one of that name was.
func (t *teller) knows(app string) (count int, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.apps), t.apps[app]
}

// step tells what happened to a run. Attempts are counted from 1.
func (t *teller) step(e devserver.StepEvent) {
	function, step, op := oneLine(e.Function), oneLine(e.Step), oneLine(e.Op)
	if step == "" || e.Op == string(inngest.OpRunComplete) { // the end of a function is no step
		step = "-"
	}
	t.mu.Lock()
	widen(&t.width.function, function)
	widen(&t.width.step, step)
	widen(&t.width.op, op)
	line := fmt.Sprintf("+%6d ms  %-*s  %-*s  %-*s  attempt %d", e.At.Sub(t.started).Milliseconds(),
		t.width.function, function, t.width.step, step, t.width.op, op, e.Attempt+1)
	t.mu.Unlock()
	if e.Error != "" {
		line += "  " + oneLine(e.Error)
	}
	t.printf("%s\n", line)
}

func widen(width *int, text string) { *width = max(*width, len([]rune(text))) }

// oneLine makes one line of a text that an app wrote, without what a terminal
// would obey.
func oneLine(text string) string {
	const most = 300
	text = strings.Join(strings.Fields(text), " ")
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return -1
		}
		return r
	}, text)
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "…"
	}
	return text
}

// welcome tells where everything is, and what to do next.
func (d *Dev) welcome() string {
	var b strings.Builder
	const label = "%-30s%s\n"
	fmt.Fprintf(&b, label, "Inngest (development server)", urlOf(d.inngest))
	for i, url := range d.appURLs() {
		name := ""
		if i == 0 {
			name = "Gateway, for Inngest"
		}
		fmt.Fprintf(&b, label, name, url)
	}
	fmt.Fprintf(&b, label+"\n", "Gateway, for apps", d.appsURL())
	event := firstEvent
	if d.app == nil {
		event = `{"name":"your/event","data":{}}`
		if len(d.config.Apps) > 0 {
			d.tellVariables(&b)
		}
	}
	fmt.Fprintf(&b, "Send an event:\n  curl %s/e/%s -d '%s'\n\n", d.appsURL(), d.config.shown(eventKeyVariable, d.config.eventKey), event)
	return b.String()
}

// tellVariables tells with which variables each app is to be started.
func (d *Dev) tellVariables(b *strings.Builder) {
	c := d.config
	b.WriteString("Start your app with these variables. It is registered as soon as it runs:\n")
	for i, a := range c.Apps {
		local := fmt.Sprintf("apps[%d].local", i)
		signing, event := c.shown(signingKeyVariable, c.signingKey), c.shown(eventKeyVariable, c.eventKey)
		if key := a.Local.SigningKey; !key.IsZero() {
			signing = c.shown(local+".signing_key", key.Reveal())
		}
		if key := a.Local.EventKey; !key.IsZero() {
			event = c.shown(local+".event_key", key.Reveal())
		}
		fmt.Fprintf(b, "\n  %s, at %s%s (%s)\n", appID(a), a.Upstream.Endpoints[0], upstreamPath(a), a.Signing)
		if a.Signing == config.SigningStrip { // it verifies nothing
			fmt.Fprintf(b, "    INNGEST_DEV=1\n    INNGEST_BASE_URL=%s\n", d.appsURL())
		} else {
			fmt.Fprintf(b, "    INNGEST_DEV=0\n    INNGEST_BASE_URL=%s\n    %s=%s\n", d.appsURL(), signingKeyVariable, signing)
		}
		fmt.Fprintf(b, "    %s=%s\n", eventKeyVariable, event)
	}
	b.WriteString("\n")
}

// shown returns a key that was made up here. One that came from the user is
// named, not shown.
func (c *devConfig) shown(name, key string) string {
	switch {
	case c.made[name]:
		return key
	case strings.Contains(name, "."):
		return "<" + name + " of your configuration>"
	default:
		return "$" + name
	}
}
