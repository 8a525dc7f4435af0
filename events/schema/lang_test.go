package schema_test

import (
	"bytes"
	"flag"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/events/schema"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// examples are schemas with everything that types can say.
func examples(tb testing.TB) *schema.Set {
	tb.Helper()
	read := func(name, version, file string) schema.Source {
		text, err := os.ReadFile(filepath.Join("testdata", "types", file))
		if err != nil {
			tb.Fatal(err)
		}
		return schema.Source{Name: name, Version: version, From: "schemas/" + file, Text: text, Mode: schema.ModeEnforce}
	}
	return compile(tb,
		read("order.created", "", "order.created.json"),
		read("order.created", "2", "order.created-2.json"),
		read("order/created", "2026-1", "order.created-2.json"),
		read("app/user-tree.grown", "", "tree.grown.json"),
		read("odd.names", "v7", "odd.names.json"),
		read("", "", "money.json"),
		schema.Source{Name: "paid", From: "events.schemas[6]", Mode: schema.ModeWarn, Text: []byte(`{"$ref":"schemas/money.json"}`)},
		schema.Source{Name: "anything", From: "events.schemas[7]", Mode: schema.ModeWarn, Text: []byte(`true`)},
		schema.Source{Name: "1:", From: "events.schemas[8]", Mode: schema.ModeWarn, Text: []byte(`{"additionalProperties":{"type":"integer"}}`)},
	)
}

func printed(tb testing.TB, set *schema.Set, lang schema.Lang) string {
	tb.Helper()
	var b bytes.Buffer
	if err := set.Types(&b, lang); err != nil {
		tb.Fatalf("Types(%s): %v", lang, err)
	}
	return b.String()
}

func TestTypes_printAsAlways(t *testing.T) {
	endings := map[schema.Lang]string{schema.LangTypeScript: "events.ts", schema.LangGo: "events.go", schema.LangPython: "events.py", schema.LangJSON: "events.json"}
	set := examples(t)
	for _, lang := range schema.Langs() {
		got := printed(t, set, lang)
		if again := printed(t, examples(t), lang); again != got {
			t.Errorf("Types(%s) printed something else the second time:\n%s", lang, cmp.Diff(got, again))
		}
		golden := filepath.Join("testdata", "golden", endings[lang]+".golden")
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("Types(%s) differs from %s (-want +got):\n%s", lang, golden, diff)
		}
	}
}

func TestTypes_refuseAnUnknownLanguage(t *testing.T) {
	err := compile(t).Types(&bytes.Buffer{}, "cobol")
	if err == nil || !strings.Contains(err.Error(), `"cobol"`) || !strings.Contains(err.Error(), "ts go python json") {
		t.Errorf("Types(cobol) = %v, want the languages", err)
	}
}

// encodingJSON is all of encoding/json that printed code uses, so that no other
// package has to be compiled for the check.
type encodingJSON struct{}

func (encodingJSON) Import(path string) (*types.Package, error) {
	pkg := types.NewPackage(path, "json")
	name := types.NewTypeName(token.NoPos, pkg, "RawMessage", nil)
	types.NewNamed(name, types.NewSlice(types.Typ[types.Byte]), nil)
	pkg.Scope().Insert(name)
	pkg.MarkComplete()
	return pkg, nil
}

// checkGo compiles Go as far as its types.
func checkGo(t *testing.T, text string) {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "events.go", text, parser.ParseComments)
	if err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	if formatted, err := format.Source([]byte(text)); err != nil || string(formatted) != text {
		t.Errorf("not as gofmt has it: %v\n%s", err, cmp.Diff(string(formatted), text))
	}
	conf := types.Config{Importer: encodingJSON{}, Error: func(err error) { t.Errorf("%v", err) }}
	if _, err := conf.Check("events", files, []*ast.File{file}, nil); err != nil {
		t.Fatalf("does not compile:\n%s", text)
	}
	if !ast.IsGenerated(file) {
		t.Error("is not marked as generated")
	}
}

func TestTypes_compileAsGo(t *testing.T) {
	checkGo(t, printed(t, examples(t), schema.LangGo))
	checkGo(t, printed(t, compile(t), schema.LangGo))
}

func TestTypes_loadAsPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil || exec.Command(python, "-c", "from typing import NotRequired").Run() != nil {
		t.Skip("no python3 of 3.11 or later")
	}
	for _, set := range []*schema.Set{examples(t), compile(t)} {
		text := printed(t, set, schema.LangPython) + `
import sys, typing
for name, of in list(globals().items()):
    if typing.is_typeddict(of) and name != "TypedDict":
        typing.get_type_hints(of, include_extras=True)
    elif __annotations__.get(name) == "TypeAlias":
        eval(of)
`
		cmd := exec.Command(python, "-")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("python3: %v\n%s\n%s", err, out, text)
		}
	}
}
