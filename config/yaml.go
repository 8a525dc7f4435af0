package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// What a file may hold at most, so that aliases that multiply and brackets
// without end cost no memory.
const (
	mostNodes = 100_000
	mostDepth = 100
)

var (
	errTooManyNodes = errors.New("too much YAML once its aliases are followed")
	errTooDeep      = errors.New("YAML nested too deeply")
	linePattern     = regexp.MustCompile(`^line (\d+): `)
)

// A yamlReader turns YAML into a tree of map[string]any, []any and string, with
// the line of each. Scalars stay as they are written: a key of digits only
// keeps its zeros, 012 is no octal number. A key without a value counts as not
// written, so that a group whose settings are all commented out has its defaults.
// Below functions, where values reach backends and Inngest, scalars have the
// types of YAML, and a null is kept.
type yamlReader struct {
	file     string
	origins  map[string]origin
	problems *problems
	nodes    int
	depth    int
	open     map[*yaml.Node]bool // anchors whose content is being read
}

// readYAML reads a file's text, false if it is no YAML with settings in it.
func readYAML(file string, text []byte, p *problems) (layer, bool) {
	r := &yamlReader{file: file, origins: map[string]origin{}, problems: p, open: map[*yaml.Node]bool{}}
	l := layer{tree: map[string]any{}, origins: r.origins}
	doc, err := r.document(text)
	if err != nil {
		r.syntax(err)
		return l, false
	}
	if doc == nil {
		return l, true
	}
	tree, err := r.tree(doc, "")
	if err != nil {
		p.addAt(origin{source: file}, "", err.Error(), "a plainer file")
		return l, false
	}
	m, ok := tree.(map[string]any)
	if ok {
		l.tree = m
	} else if tree != nil {
		p.addAt(origin{file, doc.Line}, "", kindOf(tree), "settings, such as apps:")
	}
	return l, ok || tree == nil
}

// document returns the root of the only document, nil if there is none.
func (r *yamlReader) document(text []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var first, second yaml.Node
	if err := dec.Decode(&first); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err := dec.Decode(&second); err == nil {
		r.problems.addAt(origin{r.file, second.Line}, "", "a second document", "one document")
	} else if !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(first.Content) == 0 {
		return nil, nil
	}
	return first.Content[0], nil
}

func (r *yamlReader) syntax(err error) {
	at, text := origin{source: r.file}, strings.TrimPrefix(err.Error(), "yaml: ")
	if m := linePattern.FindStringSubmatch(text); m != nil {
		at.line, _ = strconv.Atoi(m[1])
		text = text[len(m[0]):]
	}
	r.problems.addAt(at, "", text, "well-formed YAML")
}

// tree converts one node; nil is a null.
func (r *yamlReader) tree(n *yaml.Node, at string) (any, error) {
	if r.nodes++; r.nodes > mostNodes {
		return nil, errTooManyNodes
	}
	if r.depth++; r.depth > mostDepth {
		return nil, errTooDeep
	}
	defer func() { r.depth-- }()
	r.origins[at] = origin{r.file, n.Line}
	if n.Anchor != "" {
		r.open[n] = true
		defer delete(r.open, n)
	}
	switch n.Kind {
	case yaml.AliasNode:
		return r.alias(n, at)
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, c := range n.Content {
			one, err := r.tree(c, element(at, i))
			if err != nil {
				return nil, err
			}
			list[i] = one
		}
		return list, nil
	case yaml.MappingNode:
		return r.mapping(n, at)
	}
	switch {
	case n.Tag == "!!null":
		return nil, nil
	case belowFunctions(at):
		return typed(n), nil
	}
	return n.Value, nil
}

// typed returns a scalar as the type that YAML gives it. Dates, and what is no
// value of the type that it says it has, stay text.
func typed(n *yaml.Node) any {
	var v any
	if err := n.Decode(&v); err != nil {
		return n.Value
	}
	switch v.(type) {
	case bool, int, int64, uint64, float64:
		return v
	}
	return n.Value
}

// alias reads what an alias stands for; its lines are those of the anchor.
func (r *yamlReader) alias(n *yaml.Node, at string) (any, error) {
	if r.open[n.Alias] {
		r.problems.tell(at)
		r.problems.addAt(origin{r.file, n.Line}, at, "an alias of what it stands in", "an anchor that ends before")
		return nil, nil
	}
	return r.tree(n.Alias, at)
}

// mapping reads a mapping. What is merged in by << gives way to what is written.
func (r *yamlReader) mapping(n *yaml.Node, at string) (any, error) {
	m, lines := map[string]any{}, map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Tag == "!!merge" {
			if err := r.merge(m, value, at); err != nil {
				return nil, err
			}
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Tag == "!!merge" {
			continue
		}
		path := join(at, key.Value)
		if key.Kind != yaml.ScalarNode {
			r.problems.addAt(origin{r.file, key.Line}, at, "a group with a key that is no text", "names of settings as keys")
			continue
		}
		if first, twice := lines[key.Value]; twice {
			r.problems.addAt(origin{r.file, key.Line}, path, "set twice", fmt.Sprintf("it once: here or at line %d", first))
			continue
		}
		lines[key.Value] = key.Line
		one, err := r.tree(value, path)
		if err != nil {
			return nil, err
		}
		if r.origins[path] = (origin{r.file, key.Line}); one != nil || belowFunctions(path) {
			m[key.Value] = one
		}
	}
	return m, nil
}

// merge adds the mappings that << names; of several the first has precedence.
func (r *yamlReader) merge(m map[string]any, n *yaml.Node, at string) error {
	written := r.origins[at]
	defer func() { r.origins[at] = written }()
	from := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		from = n.Content
	}
	for _, one := range from {
		tree, err := r.tree(one, at)
		if err != nil {
			return err
		}
		group, ok := tree.(map[string]any)
		if !ok {
			r.problems.addAt(origin{r.file, n.Line}, join(at, "<<"), kindOf(tree), gotGroup)
			continue
		}
		for key, value := range group {
			if _, there := m[key]; !there {
				m[key] = value
			}
		}
	}
	return nil
}
