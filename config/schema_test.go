package config

import (
	"encoding"
	"reflect"
	"strings"
	"testing"
)

// Every setting has a variable, reachable by its path, and two settings never
// share one.
func TestSchema_everySettingHasItsVariable(t *testing.T) {
	seen := map[string]string{}
	walk(root(), "", func(path string, f field) {
		keys := keysOf(strings.ReplaceAll(path, "[]", "[0]"))
		to := locate(keys)
		if to.found != len(keys) || to.typ != f.typ {
			t.Errorf("locate(%q) finds %d keys of %d", keys, to.found, len(keys))
		}
		name := variable(keys)
		if other, taken := seen[name]; taken || name == fileVariable || name == urlVariable {
			t.Errorf("%s is the variable of %s and %s", name, path, other)
		}
		seen[name] = path
		if f.name != strings.ToLower(f.name) || strings.Contains(f.name, levels) || strings.ContainsAny(f.name, ".[]-") {
			t.Errorf("%s: the name %q cannot be part of a variable", path, f.name)
		}
	})
}

// A type that decode has no way to read would panic when a user sets it.
func TestSchema_everySettingCanBeRead(t *testing.T) {
	walk(root(), "", func(path string, f field) {
		typ := f.typ
		for typ.Kind() == reflect.Pointer || isList(typ) {
			typ = typ.Elem()
		}
		if isGroup(typ) {
			return
		}
		if got := wants(typ); typ.Kind() != reflect.String && got == "a text" {
			t.Errorf("%s: %v is said to be %s", path, typ, got)
		}
		for _, text := range []string{"", "true", "1", "1s", "1KiB", "x"} {
			d := decoder{problems: &problems{}}
			d.decode(reflect.New(typ).Elem(), text, path, false)
			for _, p := range d.problems.list {
				if p.Want == "" {
					t.Errorf("%s: nothing says what is accepted instead of %q", path, text)
				}
			}
		}
		if _, ok := reflect.New(typ).Interface().(encoding.TextMarshaler); isText(typ) && !ok {
			t.Errorf("%s: %v reads text and does not write it", path, typ)
		}
	})
}
