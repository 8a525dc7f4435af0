package metrics

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

var update = flag.Bool("update", false, "rewrite the generated part of docs/metrics.md")

// An instrument is what is registered under one name.
type instrument struct {
	name, kind, help string
	labels           []string
	collector        prometheus.Collector
}

// recorder notes what is registered, and registers it.
type recorder struct {
	*prometheus.Registry
	instruments []instrument
}

// A description tells its fields in its text alone.
var described = regexp.MustCompile(`^Desc\{fqName: "([^"]*)", help: "(.*)", unit: "[^"]*", constLabels: \{\}, variableLabels: \{(.*)\}\}$`)

func (r *recorder) MustRegister(collectors ...prometheus.Collector) {
	r.Registry.MustRegister(collectors...)
	for _, c := range collectors {
		ch := make(chan *prometheus.Desc, 1) // a vector has one
		c.Describe(ch)
		m := described.FindStringSubmatch((<-ch).String())
		if m == nil {
			panic("a description is written in another way than this test reads it")
		}
		i := instrument{name: m[1], help: strings.ReplaceAll(m[2], `\"`, `"`), collector: c}
		if m[3] != "" {
			i.labels = strings.Split(m[3], ",")
		}
		switch c.(type) {
		case *prometheus.CounterVec:
			i.kind = "counter"
		case *prometheus.GaugeVec:
			i.kind = "gauge"
		case *prometheus.HistogramVec:
			i.kind = "histogram"
		default:
			panic(fmt.Sprintf("%s is a %T", i.name, c))
		}
		r.instruments = append(r.instruments, i)
	}
}

// all returns every instrument of a gateway, by name.
func all(tb testing.TB) (*recorder, []instrument) {
	tb.Helper()
	r := &recorder{Registry: prometheus.NewRegistry()}
	New(r)
	slices.SortFunc(r.instruments, func(a, b instrument) int { return cmp.Compare(a.name, b.name) })
	return r, r.instruments
}

func TestNew_passesPromlint(t *testing.T) {
	r, instruments := all(t)
	for _, i := range instruments {
		values := make([]string, len(i.labels))
		switch c := i.collector.(type) {
		case *prometheus.CounterVec:
			c.WithLabelValues(values...)
		case *prometheus.GaugeVec:
			c.WithLabelValues(values...)
		case *prometheus.HistogramVec:
			c.WithLabelValues(values...)
		}
	}
	problems, err := testutil.GatherAndLint(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	if len(instruments) == 0 {
		t.Error("nothing is registered")
	}
}

func TestNew_namesEveryInstrumentInOneWay(t *testing.T) {
	_, instruments := all(t)
	for _, i := range instruments {
		if !strings.HasPrefix(i.name, namespace+"_") {
			t.Errorf("%s does not begin with %s_", i.name, namespace)
		}
		if i.kind == "counter" != strings.HasSuffix(i.name, "_total") {
			t.Errorf("%s is a %s: counters and nothing else end in _total", i.name, i.kind)
		}
		if !strings.HasSuffix(i.help, ".") || strings.ContainsAny(i.help, "|\n") {
			t.Errorf("%s: help %q is no sentence of one line", i.name, i.help)
		}
	}
}

func TestNew_fitsTwiceInOneProcess(t *testing.T) {
	New(prometheus.NewRegistry())
	New(prometheus.NewRegistry())
}

// The generated part of docs/metrics.md lies between these lines.
const (
	docs  = "../docs/metrics.md"
	begin = "<!-- generated from package metrics: make docs -->\n"
	end   = "<!-- end of the generated part -->\n"
)

func TestDocs_listEveryInstrument(t *testing.T) {
	_, instruments := all(t)
	text, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), begin)
	old, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no generated part", docs)
	}
	want := table(instruments)
	if *update {
		if err := os.WriteFile(docs, []byte(head+begin+want+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if old != want {
		t.Errorf("%s is not what is registered; run make docs. Want:\n%s", docs, want)
	}
	// Every label is explained in the text above.
	for _, i := range instruments {
		for _, label := range i.labels {
			if !strings.Contains(head, "| `"+label+"` |") {
				t.Errorf("%s: the label %s of %s is not explained", docs, label, i.name)
			}
		}
	}
}

// table lists instruments, a section for each package that measures.
func table(instruments []instrument) string {
	var b strings.Builder
	section := ""
	for _, i := range instruments {
		subsystem, _, _ := strings.Cut(strings.TrimPrefix(i.name, namespace+"_"), "_")
		if subsystem != section {
			section = subsystem
			fmt.Fprintf(&b, "\n## %s\n\n| name | type | labels | meaning |\n|---|---|---|---|\n", section)
		}
		labels := "–"
		if len(i.labels) > 0 {
			labels = "`" + strings.Join(i.labels, "`, `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", i.name, i.kind, labels, i.help)
	}
	return b.String() + "\n"
}
