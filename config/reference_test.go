package config

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite docs/configuration.md and configs/full.yaml")

func TestReference_isWhatTheCodeSays(t *testing.T) {
	docs := fieldDocs(t)
	for file, text := range map[string]string{
		"../docs/configuration.md": reference(docs),
		"../configs/full.yaml":     example(docs),
	} {
		t.Run(filepath.Base(file), func(t *testing.T) {
			if *update {
				if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(text, string(got)); d != "" {
				t.Errorf("%s is stale, run make docs (-want +got):\n%s", file, d)
			}
		})
	}
}

// fieldDocs returns the doc comments of all settings, by Type.Field, each as
// one line.
func fieldDocs(t *testing.T) map[string]string {
	t.Helper()
	docs := map[string]string{}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if group, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range group.Fields.List {
					for _, name := range f.Names {
						docs[spec.Name.Name+"."+name.Name] = strings.Join(strings.Fields(f.Doc.Text()), " ")
					}
				}
			}
			return true
		})
	}
	walk(root(), "", func(path string, f field) {
		if text := docs[f.id]; !strings.HasSuffix(text, ".") {
			t.Errorf("%s (%s): its doc comment is %q, want sentences", path, f.id, text)
		}
	})
	return docs
}

// A section is one group of settings in the reference.
type section struct {
	path, doc string
	typ       reflect.Type
	defaults  reflect.Value
}

// sections lists the groups from the outside in.
func sections(docs map[string]string) []section {
	cfg := Default()
	cfg.Apps = []App{DefaultApp()}
	queue := []section{{"", "", root(), reflect.ValueOf(cfg)}}
	var all []section
	for len(queue) > 0 {
		s := queue[0]
		all = append(all, s)
		var below []section
		for _, f := range fieldsOf(s.typ) {
			v := s.defaults.FieldByIndex(f.index)
			path := join(s.path, f.name)
			switch {
			case isGroup(f.typ):
				below = append(below, section{path, docs[f.id], f.typ, v})
			case isList(f.typ) && isGroup(f.typ.Elem()):
				below = append(below, section{path + "[]", docs[f.id], f.typ.Elem(), firstOf(v)})
			}
		}
		queue = append(below, queue[1:]...) // a group's own groups come right after it
	}
	return all
}

// firstOf returns the first element of a list, or what one begins with.
func firstOf(list reflect.Value) reflect.Value {
	if list.Len() > 0 {
		return list.Index(0)
	}
	return newElement(list.Type().Elem())
}

// reference is the text of docs/configuration.md.
func reference(docs map[string]string) string {
	var b strings.Builder
	b.WriteString(introduction)
	b.WriteString("| variable | sets |\n|---|---|\n")
	fmt.Fprintf(&b, "| `%s` | `1` or `true`: `insecure_skip_verify`, and `%s` for `inngest.api_url` and `inngest.event_url` where nothing else is said. A URL: the same, with that URL. `0` or `false`: verification, whatever a file says |\n", devVariable, devServer)
	for _, v := range standardVariables() {
		sets := "`" + strings.Join(v.paths, "`, `") + "`"
		if v.fills {
			sets += ", where nothing else is said"
		}
		if strings.HasPrefix(v.paths[0], "apps[0]") {
			sets += " and there is one app"
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", v.name, sets)
	}
	for _, s := range sections(docs) {
		title, doc := "`"+s.path+"`", s.doc+"\n\n"
		if s.path == "" {
			title, doc = "Top level", ""
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s| setting | value | default | meaning |\n|---|---|---|---|\n", title, doc)
		for _, f := range fieldsOf(s.typ) {
			value, def := kindText(f.typ), defaultText(s.defaults.FieldByIndex(f.index))
			switch path := join(s.path, f.name); {
			case isGroup(f.typ):
				value, def = "[group](#"+anchor(path)+")", ""
			case isList(f.typ) && isGroup(f.typ.Elem()):
				value, def = "list of [groups](#"+anchor(path)+")", ""
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.name, value, def, strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(docs[f.id]))
		}
	}
	return b.String()
}

// anchor returns the name that a heading has in a link.
func anchor(path string) string {
	return strings.NewReplacer(".", "", "[", "", "]", "").Replace(path)
}

func kindText(t reflect.Type) string {
	switch v := reflect.Zero(t).Interface().(type) {
	case Functions:
		return "list of [functions](functions.md)"
	case enum:
		return "`" + strings.Join(v.accepts(), "`, `") + "`"
	case Secret:
		return "secret"
	case Size:
		return "size"
	case WaitMax:
		return "`auto` or duration"
	case Portion:
		return "percentage or size"
	case slog.Level:
		return "`debug`, `info`, `warn`, `error`"
	case time.Duration:
		return "duration"
	case netip.Prefix:
		return "network"
	}
	switch {
	case t.Kind() == reflect.Pointer:
		return kindText(t.Elem())
	case isList(t):
		return "list: " + kindText(t.Elem())
	case t.Kind() == reflect.Bool:
		return "`true`, `false`"
	case t.Kind() == reflect.Int:
		return "whole number"
	case t.Kind() == reflect.Float64:
		return "number"
	}
	return "text"
}

func defaultText(v reflect.Value) string {
	if text := yamlText(v); text != "" {
		return "`" + text + "`"
	}
	return ""
}

// yamlText writes a default as YAML, empty if there is none.
func yamlText(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Slice, reflect.Pointer:
		return ""
	}
	text := valueText(v.Interface())
	switch {
	case v.Type().Name() == "Level":
		return strings.ToLower(text)
	case strings.HasPrefix(text, ":"):
		return `"` + text + `"`
	}
	return text
}

const introduction = `# Configuration

<!-- Made of the code by make docs; edit the doc comments in package config instead. -->

A gateway in front of one app needs no file: ` + "`GATEWAY_APP_URL`" + ` and the signing key are enough.
[configs/minimal.yaml](../configs/minimal.yaml) is the smallest file, [configs/full.yaml](../configs/full.yaml) shows every setting.
` + "`gateway check`" + ` tells everything that is wrong with a configuration, with the line or the variable that says it.

## Where settings come from

The last one counts:

1. the defaults below;
2. one YAML file: ` + "`--config`, else `GATEWAY_CONFIG`, else `" + DefaultFile + "`" + ` if it is there;
3. the environment: the variables that Inngest's SDKs read too (next section), then ` + "`GATEWAY_APP_URL`" + `, then a variable for every setting;
4. flags: ` + "`--app-url`" + `, and ` + "`--set path=value`" + ` for every setting.

A setting's variable is ` + "`GATEWAY_`" + ` and its path in capitals, with two underscores between levels: ` + "`limits.memory`" + ` is
` + "`GATEWAY_LIMITS__MEMORY`, `apps[0].path` is `GATEWAY_APPS__0__PATH`" + `. A list is written with commas between its elements.
Empty variables count as not set. Variables without two underscores that are no setting are ignored: Kubernetes sets some
for a Service called ` + "`gateway`" + `.

` + "`GATEWAY_APP_URL`, or `--app-url`" + `, is the address of the only app, such as ` + "`http://127.0.0.1:3000/api/inngest`" + `: it sets
` + "`apps[0].upstream.endpoints`" + `, and its path is that of the app, here and there, where nothing else is said.

## Values

| value | is written |
|---|---|
| size | a number of bytes with its unit: ` + "`512`, `16KiB`, `8MiB`, `1GiB`, `1GB`" + ` |
| duration | numbers with their units: ` + "`500ms`, `30s`, `1h30m`" + ` |
| secret | the value itself, ` + "`env:NAME`" + ` for what the variable has, or ` + "`file:PATH`" + ` for what stands in the file. White space around it is cut off. No log, page or message shows it |

A key without a value counts as not written. Anchors, aliases and ` + "`<<`" + ` work.

## Variables of the SDKs

`
