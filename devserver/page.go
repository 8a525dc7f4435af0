package devserver

import (
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"time"
)

// newPage makes the page that lists what the server knows. It is for people;
// /dev is for programs.
func newPage() (*template.Template, error) {
	t, err := template.New("page").Funcs(template.FuncMap{
		"clock": func(t time.Time) string { return t.Format("15:04:05.000") },
	}).Parse(pageText)
	if err != nil {
		return nil, fmt.Errorf("devserver: %w", err)
	}
	return t, nil
}

const pageText = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="3"><title>devserver</title>
<style>body{font:14px/1.5 system-ui,sans-serif;margin:2em;max-width:70em}table{border-collapse:collapse;width:100%}
td,th{text-align:left;padding:.2em .8em .2em 0;border-bottom:1px solid #8884;vertical-align:top}code{font-size:13px}
.failed{color:#b00}.completed{color:#070}</style></head><body>
<h1>Development server</h1>
<p>In memory, for development and tests. Its clock is {{.Ahead}} ahead. As JSON: <a href="/dev/apps">apps</a>,
<a href="/dev/runs">runs</a>, <a href="/dev/events">events</a>.</p>
<h2>Apps</h2>{{range .Apps}}<p><b>{{.Name}}</b> <code>{{.URL}}</code> {{.SDK}}, synced {{clock .Synced}}:
{{range .Functions}}<code>{{.Slug}}</code> ({{range .Triggers}}{{.}} {{end}}) {{end}}</p>{{else}}<p>None has registered yet.</p>{{end}}
<h2>Runs</h2><table><tr><th>created<th>run<th>function<th>status<th>calls<th>output</tr>
{{range .Runs}}<tr><td>{{clock .Created}}<td><a href="/dev/runs/{{.ID}}"><code>{{.ID}}</code></a><td>{{.Function}}
<td class="{{.Status}}">{{.Status}}<td>{{len .Calls}}<td><code>{{printf "%.200s" .Output}}</code></tr>{{end}}</table>
</body></html>
`

// handlePage answers / and, as on the server, a POST to /e without a key: that
// is a 200 which took no event.
func (s *Server) handlePage(w http.ResponseWriter, _ *http.Request) {
	const enough = 100
	runs := s.Runs()
	slices.Reverse(runs)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	err := s.page.Execute(w, struct {
		Ahead time.Duration
		Apps  []App
		Runs  []Run
	}{s.opts.Clock.Ahead(), s.Apps(), runs[:min(enough, len(runs))]})
	if err != nil {
		s.log.Debug("page", "err", err)
	}
}
