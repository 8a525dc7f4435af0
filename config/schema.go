package config

import (
	"encoding"
	"reflect"
	"strconv"
	"strings"
)

// A field is one setting, or group of settings, of a struct in this package.
type field struct {
	name     string // the key in YAML
	id       string // Type.Field, to find its doc comment
	index    []int  // as in reflect.Value.FieldByIndex
	typ      reflect.Type
	example  string // a value for documentation, where the default is none
	optional bool   // a reference to nothing means no value
}

// others is the key of the field, a map, that takes groups under names that
// users choose.
const others = "*"

// fieldsOf lists the settings of a group in the order of its declaration.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, ok := f.Tag.Lookup("koanf")
		switch {
		case f.Anonymous:
			for _, inner := range fieldsOf(f.Type) {
				inner.index = append([]int{i}, inner.index...)
				fields = append(fields, inner)
			}
		case ok && name != others:
			fields = append(fields, field{
				name:     name,
				id:       t.Name() + "." + f.Name,
				index:    []int{i},
				typ:      f.Type,
				example:  f.Tag.Get("example"),
				optional: f.Tag.Get("optional") == "true",
			})
		}
	}
	return fields
}

// othersOf returns the field of a group that takes other groups.
func othersOf(t reflect.Type) (reflect.StructField, bool) {
	for i := range t.NumField() {
		if f := t.Field(i); f.Tag.Get("koanf") == others {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

func fieldOf(t reflect.Type, name string) (field, bool) {
	for _, f := range fieldsOf(t) {
		if f.name == name {
			return f, true
		}
	}
	return field{}, false
}

// isText tells whether a type reads itself from text.
func isText(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

func isGroup(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != reflect.TypeFor[Secret]() && !isText(t)
}

func isList(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && !isText(t) && !isFunctions(t)
}

// A place is where a list of keys leads to in the configuration.
type place struct {
	path  string // apps[0].upstream.path
	typ   reflect.Type
	found int // keys that led somewhere; all of them if the place exists
}

// setting is locate for what takes a value: no key at the end is a name that
// users choose, because such a name is one of a group.
func setting(keys []string) place {
	to := locate(keys)
	if last := len(keys) - 1; to.found > last {
		if outer := locate(keys[:last]); isGroup(outer.typ) {
			if _, known := fieldOf(outer.typ, keys[last]); !known {
				return outer
			}
		}
	}
	return to
}

// locate follows keys, where the index of a list is a key too.
func locate(keys []string) place {
	at := place{typ: root()}
	for _, key := range keys {
		switch {
		case isGroup(at.typ):
			f, known := fieldOf(at.typ, key)
			named, open := othersOf(at.typ)
			switch {
			case known:
				at.typ = f.typ
			case open:
				at.typ = named.Type.Elem()
			default:
				return at
			}
			at.path = join(at.path, key)
		case isList(at.typ):
			i, err := strconv.ParseUint(key, 10, 16)
			if err != nil {
				return at
			}
			at.path, at.typ = element(at.path, int(i)), at.typ.Elem()
		default:
			return at
		}
		at.found++
	}
	return at
}

// isSetting tells whether a place takes a value: no group, no list of groups.
func (at place) isSetting() bool {
	return !isGroup(at.typ) && (!isList(at.typ) || !isGroup(at.typ.Elem()))
}

// root is the type that all paths begin at.
func root() reflect.Type { return reflect.TypeFor[Config]() }

// keysOf splits a path, apps[0].path, into its keys.
func keysOf(path string) []string {
	path = strings.ReplaceAll(strings.ReplaceAll(path, "[", "."), "]", "")
	return strings.Split(path, ".")
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func element(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }
