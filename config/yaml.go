package config

import (
	"errors"
	"strings"

	"go.yaml.in/yaml/v3"
)

// mostNodes bounds a file whose aliases multiply.
const mostNodes = 100_000

// A yamlReader turns YAML into a tree of map[string]any, []any and string, with
// the line of each. Scalars stay as they are written: a key of digits only
// keeps its zeros, 012 is no octal number. A value left empty counts as not
// written.
type yamlReader struct {
	file     string
	origins  map[string]origin
	problems *problems
	nodes    int
	open     map[*yaml.Node]bool // aliases that are being followed
}

func readYAML(file string, text []byte, p *problems) layer {
	r := &yamlReader{file: file, origins: map[string]origin{}, problems: p, open: map[*yaml.Node]bool{}}
	l := layer{tree: map[string]any{}, origins: r.origins}
	dec := yaml.NewDecoder(strings.NewReader(string(text)))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		p.addAt(origin{source: file}, "", strings.TrimPrefix(err.Error(), "yaml: "), "YAML")
		return l
	}
	if len(doc.Content) == 0 {
		return l
	}
	tree, err := r.tree(doc.Content[0], "")
	if err != nil {
		p.addAt(origin{source: file}, "", err.Error(), "fewer aliases")
		return l
	}
	if m, ok := tree.(map[string]any); ok {
		l.tree = m
	}
	return l
}

var errTooManyNodes = errors.New("too much YAML once its aliases are followed")

func (r *yamlReader) tree(n *yaml.Node, at string) (any, error) {
	if r.nodes++; r.nodes > mostNodes {
		return nil, errTooManyNodes
	}
	r.origins[at] = origin{r.file, n.Line}
	switch n.Kind {
	case yaml.ScalarNode:
		if n.Tag == "!!null" {
			return nil, nil
		}
		return n.Value, nil
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for i, c := range n.Content {
			one, err := r.tree(c, element(at, i))
			if err != nil {
				return nil, err
			}
			list = append(list, one)
		}
		return list, nil
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i].Value
			one, err := r.tree(n.Content[i+1], join(at, key))
			if err != nil {
				return nil, err
			}
			if one != nil {
				m[key] = one
			}
		}
		return m, nil
	}
	return nil, nil
}
