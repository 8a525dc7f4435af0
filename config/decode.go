package config

import (
	"encoding"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/inngest-gateway/inngest-gateway/spelling"
)

// A decoder writes a tree of what was read (map[string]any, []any and string)
// over defaults, and notes what does not fit where it stands.
type decoder struct {
	secrets   secretReader
	problems  *problems
	functions any // what stands under functions, for package spec
}

// decode writes tree over v, which holds the default.
func (d *decoder) decode(v reflect.Value, tree any, at string, optional bool) {
	switch t := v.Type(); {
	case isFunctions(t):
		if d.functions = tree; tree != nil {
			if text, ok := tree.(string); ok {
				d.functions = d.problems.functionsText(text)
			}
		}
	case isGroup(t):
		d.group(v, tree, at)
	case isList(t):
		d.list(v, tree, at)
	case t.Kind() == reflect.Pointer:
		one := reflect.New(t.Elem())
		d.decode(one.Elem(), tree, at, optional)
		v.Set(one)
	default:
		text, ok := tree.(string)
		if !ok {
			d.problems.add(at, kindOf(tree), wants(t))
			return
		}
		d.value(v, text, at, optional)
	}
}

func (d *decoder) group(v reflect.Value, tree any, at string) {
	m, ok := tree.(map[string]any)
	if !ok {
		d.problems.add(at, kindOf(tree), "a group of settings: "+listed(names(v.Type())))
		return
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		f, ok := fieldOf(v.Type(), key)
		if _, group := m[key].(map[string]any); group && !ok {
			if named, open := othersOf(v.Type()); open {
				d.named(v.FieldByIndex(named.Index), m[key], key, join(at, key))
				continue
			}
		}
		if !ok {
			d.problems.add(join(at, key), gotUnknown, known(v.Type(), at, key))
			continue
		}
		d.decode(v.FieldByIndex(f.index), m[key], join(at, key), f.optional)
	}
}

func (d *decoder) list(v reflect.Value, tree any, at string) {
	list, ok := tree.([]any)
	if !ok {
		d.problems.add(at, kindOf(tree), "a list")
		return
	}
	all := reflect.MakeSlice(v.Type(), len(list), len(list))
	for i, one := range list {
		all.Index(i).Set(newElement(v.Type().Elem()))
		d.decode(all.Index(i), one, element(at, i), false)
	}
	v.Set(all)
}

// named reads a group under a name that the user chose.
func (d *decoder) named(v reflect.Value, tree any, name, at string) {
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	one := newElement(v.Type().Elem())
	d.decode(one, tree, at, false)
	v.SetMapIndex(reflect.ValueOf(name), one)
}

// newElement returns an element of a list or map with its defaults.
func newElement(t reflect.Type) reflect.Value {
	one := reflect.New(t).Elem()
	switch p := one.Addr().Interface().(type) {
	case *App:
		*p = DefaultApp()
	case *Environment:
		*p = Default().Inngest.Environment
	case *FunctionApp:
		*p = DefaultFunctionApp()
	case *EventSchema:
		p.Mode = SchemaEnforce
	}
	return one
}

// value reads a single value.
func (d *decoder) value(v reflect.Value, text, at string, optional bool) {
	if secret, ok := v.Addr().Interface().(*Secret); ok {
		read, problem := d.secrets.read(text, optional)
		if problem != "" {
			d.problems.add(at, quoted(text), problem)
		}
		*secret = read
		return
	}
	if !readText(v, text) {
		d.problems.add(at, quoted(text), wants(v.Type()))
	}
}

// readText reads a text as the type of v, false if it is no such value. It
// leaves v as it is then.
func readText(v reflect.Value, text string) bool {
	switch p := v.Addr().Interface().(type) {
	case *time.Duration:
		return read(p, text, time.ParseDuration)
	case *netip.Prefix:
		return read(p, text, parsePrefix)
	case *bool:
		return read(p, text, parseBool)
	case *int:
		return read(p, text, strconv.Atoi)
	case *float64:
		return read(p, text, func(text string) (float64, error) { return strconv.ParseFloat(text, 64) })
	case encoding.TextUnmarshaler:
		return p.UnmarshalText([]byte(text)) == nil
	}
	if v.Kind() != reflect.String {
		panic(fmt.Sprintf("config: no way to read a %v", v.Type()))
	}
	if e, ok := v.Interface().(enum); ok && !slices.Contains(e.accepts(), text) {
		return false
	}
	v.SetString(text)
	return true
}

func read[T any](into *T, text string, parse func(string) (T, error)) bool {
	value, err := parse(text)
	if err == nil {
		*into = value
	}
	return err == nil
}

// parseBool takes what YAML has, and what is usual in variables.
func parseBool(text string) (bool, error) {
	switch text {
	case "true", "1":
		return true, nil
	case "false", "0":
		return false, nil
	}
	return false, strconv.ErrSyntax
}

// An enum is a text of which only some values exist.
type enum interface{ accepts() []string }

// parsePrefix takes a single address as the network of that address alone.
func parsePrefix(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		return addr.Prefix(addr.BitLen())
	}
	return netip.ParsePrefix(text)
}

// wants says in words what is accepted for a type.
func wants(t reflect.Type) string {
	switch v := reflect.Zero(t).Interface().(type) {
	case interface{ wants() string }:
		return v.wants()
	case enum:
		return listed(v.accepts())
	case Secret:
		return "a text, env:NAME or file:PATH"
	case time.Duration:
		return "a duration with its unit, such as 30s or 1h30m"
	case netip.Prefix:
		return "a network, such as 10.0.0.0/8, or an address"
	case slog.Level:
		return "debug, info, warn or error"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return wants(t.Elem())
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	}
	return "a text"
}

// known says what an unknown key may have been meant to be.
func known(group reflect.Type, at, key string) string {
	siblings := names(group)
	if near := spelling.Nearest(key, siblings); near != "" {
		return join(at, near)
	}
	if elsewhere := pathsNamed(strings.ToLower(key)); len(elsewhere) > 0 {
		return listed(elsewhere)
	}
	return "one of " + listed(siblings)
}

func names(group reflect.Type) []string {
	var all []string
	for _, f := range fieldsOf(group) {
		all = append(all, f.name)
	}
	return all
}

// pathsNamed lists the settings anywhere whose last key is name.
func pathsNamed(name string) []string {
	var found []string
	walk(root(), "", func(path string, f field) {
		if f.name == name {
			found = append(found, path)
		}
	})
	return found
}

// walk visits every setting and group below a group, lists as path[].
func walk(group reflect.Type, at string, visit func(path string, f field)) {
	for _, f := range fieldsOf(group) {
		path := join(at, f.name)
		visit(path, f)
		switch t := f.typ; {
		case isGroup(t):
			walk(t, path, visit)
		case isList(t) && isGroup(t.Elem()):
			walk(t.Elem(), path+"[]", visit)
		}
	}
}

func kindOf(tree any) string {
	switch tree.(type) {
	case map[string]any:
		return gotGroup
	case []any:
		return gotList
	case nil:
		return gotNothing
	}
	return gotValue
}

// listed writes "a, b or c".
func listed(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
