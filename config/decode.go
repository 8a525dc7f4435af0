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
)

// A decoder writes a tree of what was read (map[string]any, []any and string)
// over defaults, and notes what does not fit where it stands.
type decoder struct {
	secrets  secretReader
	problems *problems
}

// decode writes tree over v, which holds the default.
func (d *decoder) decode(v reflect.Value, tree any, at string, optional bool) {
	switch t := v.Type(); {
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
	}
	return one
}

// value reads a single value.
func (d *decoder) value(v reflect.Value, text, at string, optional bool) {
	bad := func() { d.problems.add(at, quoted(text), wants(v.Type())) }
	switch p := v.Addr().Interface().(type) {
	case *Secret:
		secret, problem := d.secrets.read(text, optional)
		if problem != "" {
			d.problems.add(at, quoted(text), problem)
			return
		}
		*p = secret
		return
	case *time.Duration:
		n, err := time.ParseDuration(text)
		if err != nil {
			bad()
			return
		}
		*p = n
		return
	case *netip.Prefix:
		prefix, err := parsePrefix(text)
		if err != nil {
			bad()
			return
		}
		*p = prefix
		return
	case encoding.TextUnmarshaler:
		if p.UnmarshalText([]byte(text)) != nil {
			bad()
		}
		return
	}
	switch v.Kind() {
	case reflect.String:
		if e, ok := v.Interface().(enum); ok && !slices.Contains(e.accepts(), text) {
			bad()
			return
		}
		v.SetString(text)
	case reflect.Bool:
		switch text {
		case "true", "1":
			v.SetBool(true)
		case "false", "0":
			v.SetBool(false)
		default:
			bad()
		}
	case reflect.Int:
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			bad()
			return
		}
		v.SetInt(n)
	case reflect.Float64:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			bad()
			return
		}
		v.SetFloat(n)
	default:
		panic(fmt.Sprintf("config: no way to read a %v", v.Type()))
	}
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
	if near := nearest(key, siblings); near != "" {
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
