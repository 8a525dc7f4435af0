package config

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// example is the text of configs/full.yaml.
func example(docs map[string]string) string {
	cfg := Default()
	cfg.Apps = []App{DefaultApp()}
	var b strings.Builder
	b.WriteString("# Every setting with its default; those without a default are commented out, with\n" +
		"# an example. docs/configuration.md says more about each.\n\n")
	exampleGroup(&b, docs, reflect.ValueOf(cfg), "", "")
	return b.String()
}

// given are settings without a default that the example needs to be valid.
func given() []string {
	return []string{"inngest.signing_key", "apps[].id", "apps[].upstream.endpoints"}
}

func exampleGroup(b *strings.Builder, docs map[string]string, v reflect.Value, at, indent string) {
	for i, f := range fieldsOf(v.Type()) {
		path, value := join(at, f.name), v.FieldByIndex(f.index)
		if at == "" && i > 0 {
			b.WriteString("\n")
		}
		sentence, _, _ := strings.Cut(docs[f.id], ". ")
		key := indent + f.name
		if strings.HasSuffix(at, "[]") && i == 0 { // the first setting carries the dash
			key = indent[2:] + "- " + f.name
		}
		fmt.Fprintf(b, "%s# %s\n", key[:strings.IndexFunc(key, notSpace)], strings.TrimSuffix(sentence, "."))
		switch {
		case isGroup(f.typ):
			fmt.Fprintf(b, "%s%s:\n", indent, f.name)
			exampleGroup(b, docs, value, path, indent+"  ")
		case isList(f.typ) && isGroup(f.typ.Elem()) && value.Len() == 0:
			var one strings.Builder
			exampleGroup(&one, docs, firstOf(value), path+"[]", "    ")
			fmt.Fprintf(b, "%s# %s:\n", indent, f.name)
			for line := range strings.Lines(one.String()) {
				b.WriteString(indent + "# " + line)
			}
		case isList(f.typ) && isGroup(f.typ.Elem()):
			fmt.Fprintf(b, "%s%s:\n", indent, f.name)
			exampleGroup(b, docs, value.Index(0), path+"[]", indent+"    ")
		case slices.Contains(given(), path), f.example != "" && strings.HasPrefix(key, indent[:max(0, len(indent)-2)]+"- "):
			fmt.Fprintf(b, "%s: %s\n", key, f.example)
		case f.example != "":
			fmt.Fprintf(b, "%s# %s: %s\n", indent, f.name, f.example)
		default:
			fmt.Fprintf(b, "%s: %s\n", key, yamlText(value))
		}
	}
}

// setsSomething tells a setting in a comment from a sentence.
func setsSomething(comment string) bool {
	comment = strings.TrimPrefix(strings.TrimSpace(comment), "- ")
	if inner, ok := strings.CutPrefix(comment, "# "); ok {
		return inner != "" // a comment in a comment
	}
	key, _, ok := strings.Cut(comment+" ", ": ")
	return ok && !strings.Contains(key, " ")
}

func notSpace(r rune) bool { return r != ' ' }

// load reads one of the configurations that are shipped.
func load(t *testing.T, file string) *Config {
	t.Helper()
	return mustLoad(t, Sources{File: "../configs/" + file, Env: []string{"INNGEST_SIGNING_KEY=" + testKey}})
}

func TestExample_fullHasTheDefaults(t *testing.T) {
	want := one(func(_ *Config, a *App) { a.ID = "shop" })
	if d := diff(want, load(t, "full.yaml")); d != "" {
		t.Errorf("configs/full.yaml is not the defaults (-want +got):\n%s", d)
	}
}

func TestExample_minimalLoads(t *testing.T) {
	want := one(func(_ *Config, a *App) { a.ID = "shop" })
	if d := diff(want, load(t, "minimal.yaml")); d != "" {
		t.Errorf("configs/minimal.yaml (-want +got):\n%s", d)
	}
}

func TestExample_environmentsLoads(t *testing.T) {
	cfg := mustLoad(t, Sources{
		File: "../configs/environments.yaml",
		Env:  []string{"PROD_SIGNING_KEY=" + testKey, "PROD_EVENT_KEY=e", "SHOP_NEXT_SIGNING_KEY=00ff"},
		ReadFile: func(path string) ([]byte, error) {
			if path == "/run/secrets/staging-signing-key" {
				return []byte(otherKey), nil
			}
			return os.ReadFile(path)
		},
	})
	for i, want := range []string{testKey, otherKey} {
		if got := cfg.Environment(cfg.Apps[i]).SigningKey; !got.Equal(NewSecret(want)) {
			t.Errorf("apps[%d] has another key than its environment", i)
		}
	}
}

// What is commented out in the full example is a setting too, with a value
// that its type accepts, and nothing is left out.
func TestExample_fullMentionsEverySetting(t *testing.T) {
	text, err := os.ReadFile("../configs/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		indent, comment, ok := strings.Cut(line, "# ")
		for ok && strings.TrimSpace(indent) == "" && setsSomething(comment) {
			line = indent + comment
			indent, comment, ok = strings.Cut(line, "# ") // of what stands in a list that is commented out
		}
		lines = append(lines, line)
	}
	p := &problems{origins: map[string]origin{}}
	layer, ok := readYAML("full.yaml", []byte(strings.Join(lines, "")), p)
	if !ok {
		t.Fatal(p.list)
	}
	cfg := Default()
	d := decoder{secrets: secretReader{
		lookup:   func(string) (string, bool) { return testKey, true },
		readFile: func(string) ([]byte, error) { return []byte(testKey), nil },
	}, problems: p}
	d.decode(reflect.ValueOf(&cfg).Elem(), layer.tree, "", false)
	for _, problem := range p.list {
		t.Errorf("with all comments removed: %v", problem)
	}
	walk(root(), "", func(path string, f field) {
		if _, there := layer.origins[strings.ReplaceAll(path, "[]", "[0]")]; !there {
			t.Errorf("configs/full.yaml lacks %s", path)
		}
	})
}
