package config

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A layer is what one source says: a tree of map[string]any, []any and string,
// and indexed where it sets single elements of a list. It is a koanf.Provider.
type layer struct {
	tree    map[string]any
	origins map[string]origin // by path
}

// indexed are elements of a list, by their index.
type indexed map[int]any

func newLayer() layer { return layer{map[string]any{}, map[string]origin{}} }

// Read returns the tree.
func (l layer) Read() (map[string]any, error) { return l.tree, nil }

// ReadBytes is what koanf calls for sources with a parser, which a layer is not.
func (l layer) ReadBytes() ([]byte, error) { return nil, errors.ErrUnsupported }

// set writes the text of one setting, a list as its elements with commas
// between them. The keys must lead to a setting.
func (l layer) set(keys []string, text string, at origin, p *problems) {
	to := locate(keys)
	l.origins[to.path] = at
	if !isList(to.typ) {
		put(l.tree, keys, text, at, p)
		return
	}
	list := []any{}
	for i, one := range strings.Split(text, ",") {
		list = append(list, strings.TrimSpace(one))
		l.origins[element(to.path, i)] = at
	}
	put(l.tree, keys, list, at, p)
}

// put writes a value into a tree at the place that the keys lead to.
func put(tree map[string]any, keys []string, value any, at origin, p *problems) {
	var into any = tree
	for i, key := range keys[:len(keys)-1] {
		child := get(into, key)
		if child == nil {
			if child = any(map[string]any{}); isList(locate(keys[:i+1]).typ) {
				child = indexed{}
			}
			assign(into, key, child)
		}
		into = child
	}
	if _, whole := into.([]any); whole {
		p.addAt(at, locate(keys).path, "set here and with the whole list", "one of the two")
		return
	}
	assign(into, keys[len(keys)-1], value)
}

func get(from any, key string) any {
	switch from := from.(type) {
	case map[string]any:
		return from[key]
	case indexed:
		i, _ := strconv.Atoi(key)
		return from[i]
	}
	return nil
}

func assign(into any, key string, value any) {
	switch into := into.(type) {
	case map[string]any:
		into[key] = value
	case indexed:
		i, _ := strconv.Atoi(key)
		into[i] = value
	}
}

// over lays src over dest: groups and indexed elements are merged, all else is
// replaced.
func (p *problems) over(dest, src any, at string) any {
	switch src := src.(type) {
	case map[string]any:
		group, ok := dest.(map[string]any)
		if !ok {
			group = map[string]any{}
		}
		for key, value := range src {
			group[key] = p.over(group[key], value, join(at, key))
		}
		return group
	case indexed:
		list, _ := dest.([]any)
		for _, i := range slices.Sorted(maps.Keys(src)) {
			path := element(at, i)
			switch {
			case i < len(list):
				list[i] = p.over(list[i], src[i], path)
			case i == len(list):
				list = append(list, p.over(nil, src[i], path))
			default:
				p.addAt(p.originBelow(path), path, "beyond the end of the list", "index "+strconv.Itoa(len(list))+" next")
			}
		}
		return list
	}
	return src
}

// under fills what dest lacks from src. The only element of a list is filled,
// never one of several.
func (p *problems) under(dest, src any, at string, origins map[string]origin) any {
	switch src := src.(type) {
	case map[string]any:
		group, ok := dest.(map[string]any)
		if dest == nil {
			group = map[string]any{}
		} else if !ok {
			return dest
		}
		for key, value := range src {
			if filled := p.under(group[key], value, join(at, key), origins); filled != nil {
				group[key] = filled
			}
		}
		return group
	case indexed:
		if list, ok := dest.([]any); ok && len(list) == 1 && list[0] != nil {
			list[0] = p.under(list[0], src[0], element(at, 0), origins)
		}
		return dest
	}
	if dest != nil {
		return dest
	}
	p.origins[at] = origins[at]
	return src
}
