package config

import (
	"io/fs"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLoad_tellsProblemsOfEvents(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		want []string
	}{
		"durable without a place": {
			file: "events: {spool: {mode: durable}}",
			want: []string{`gw.yaml:6: events.spool.mode is "durable", want hybrid, or a place for the events: state_dir or events.spool.url`},
		},
		"wider than Inngest's limits": {
			file: "events: {limits: {event: 4MiB, events: 5001, name: 0}}",
			want: []string{
				`gw.yaml:6: events.limits.event is "4MiB", want from 1 to 3MiB`,
				`gw.yaml:6: events.limits.events is "5001", want from 1 to 5000`,
				`gw.yaml:6: events.limits.name is "0", want from 1 to 512`,
			},
		},
		"an address that is no NATS server's": {
			file: "events: {spool: {url: http://nats:4222, name: a.b}}",
			want: []string{
				"gw.yaml:6: events.spool.url is ***, want nats://host:port or tls://host:port, several with commas between them",
				`gw.yaml:6: events.spool.name is "a.b", want letters, digits, _ and -`,
			},
		},
		"schemas that do not compile": {
			file: "events:\n  schemas:\n  - {name: a, schema: '{\"type\": \"objekt\"}'}\n  - {name: b}\n  - {name: c, file: /none}\n  - {name: d, file: /schemas/d.json}\n",
			want: []string{
				`gw.yaml:8: events.schemas[0].schema is wrong at /type: must fit one of 2 alternatives; the nearest wants: schema.type must be "array" or "boolean" or "integer" or "null" or "number" or "object" or "string", want a JSON Schema`,
				"gw.yaml:9: events.schemas[1] is with both or none of file and schema, want one of them",
				"gw.yaml:10: events.schemas[2].file is open /none: file does not exist, want a file with a JSON Schema",
			},
		},
		"a schema that is none": {
			file: "events:\n  schemas:\n  - {name: a, schema: '{\"type\": \"objekt\"}'}\n  - {name: d, file: /schemas/d.json, mode: strict}\n",
			want: []string{
				`gw.yaml:8: events.schemas[0].schema is wrong at /type: must fit one of 2 alternatives; the nearest wants: schema.type must be "array" or "boolean" or "integer" or "null" or "number" or "object" or "string", want a JSON Schema`,
				`gw.yaml:9: events.schemas[1].mode is "strict", want enforce or warn`,
			},
		},
		"a breaker without a threshold": {
			file: "events: {delivery: {breaker: {consecutive_failures: 0, failure_ratio: 0}}}",
			want: []string{"gw.yaml:6: events.delivery.breaker is without a threshold, want consecutive_failures or failure_ratio above 0, or it would never open"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := sources(minimal+c.file, "KEY="+testKey)
			read := s.ReadFile
			s.ReadFile = func(path string) ([]byte, error) {
				if path == "/schemas/d.json" {
					return []byte(`{"type": "object"}`), nil
				}
				if path == "/none" {
					return nil, &fs.PathError{Op: "open", Path: path, Err: os.ErrNotExist}
				}
				return read(path)
			}
			if d := cmp.Diff(c.want, problemsOf(t, s)); d != "" {
				t.Errorf("problems (-want +got):\n%s", d)
			}
		})
	}
}

func TestConfig_compilesSchemas(t *testing.T) {
	s := sources(minimal+"events:\n  schemas:\n  - {name: order.created, file: /schemas/d.json, mode: warn}\n  - {name: user.created, version: \"2\", schema: '{\"required\": [\"id\"]}'}\n", "KEY="+testKey)
	read := s.ReadFile
	s.ReadFile = func(path string) ([]byte, error) {
		if path == "/schemas/d.json" {
			return []byte(`{"required": ["orderId"]}`), nil
		}
		return read(path)
	}
	set, err := mustLoad(t, s).SchemaSet()
	if err != nil {
		t.Fatal(err)
	}
	if f := set.Check([]byte("order.created"), nil, []byte(`{}`)); f == nil || f.Mode != "warn" {
		t.Errorf("Check(order.created) = %v, want a warning", f)
	}
	if f := set.Check([]byte("user.created"), []byte("2"), []byte(`{}`)); f == nil || f.Mode != "enforce" {
		t.Errorf("Check(user.created v2) = %v, want it enforced", f)
	}
	if f := set.Check([]byte("user.created"), nil, []byte(`{}`)); f != nil {
		t.Errorf("Check(user.created) = %v, want none: the schema is for version 2", f)
	}
}
