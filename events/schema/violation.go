package schema

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// A Violation is one thing in an event that its schema does not allow.
type Violation struct {
	Path string // in the event: data.items[2].price
	Want string // what the schema wants there, and at most the type of what is there

	tokens []string
}

// String returns the path and what is wanted there.
func (v Violation) String() string { return v.Path + " " + v.Want }

// violations makes a list of the compiler's tree of errors, sorted by path. root
// is what value is called.
func violations(err *jsonschema.ValidationError, root string, value any) []Violation {
	list := flatten(err, root, value, nil)
	slices.SortStableFunc(list, func(a, b Violation) int {
		if a.Path != b.Path {
			return strings.Compare(a.Path, b.Path)
		}
		return strings.Compare(a.Want, b.Want)
	})
	return slices.CompactFunc(list, func(a, b Violation) bool { return a.Path == b.Path && a.Want == b.Want })
}

func flatten(err *jsonschema.ValidationError, root string, value any, list []Violation) []Violation {
	at := func(want string, more ...string) {
		tokens := slices.Concat(err.InstanceLocation, more)
		list = append(list, Violation{Path: pathTo(root, tokens, value), Want: want, tokens: tokens})
	}
	switch k := err.ErrorKind.(type) {
	case *kind.Required:
		for _, name := range k.Missing {
			at("is missing", name)
		}
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			at("is not allowed", name)
		}
	case *kind.PropertyNames:
		at(fmt.Sprintf("must not have the name %s", quoted(k.Property)))
	case *kind.AnyOf:
		at(alternatives(err, root, value))
	case *kind.OneOf:
		if len(k.Subschemas) > 1 {
			at(fmt.Sprintf("must fit one alternative only, fits %d and %d", k.Subschemas[0]+1, k.Subschemas[1]+1))
		} else {
			at(alternatives(err, root, value))
		}
	default:
		if want := demand(err.ErrorKind); want != "" || len(err.Causes) == 0 {
			at(orElse(want, "must be as the schema says"))
			break
		}
		for _, cause := range err.Causes {
			list = flatten(cause, root, value, list)
		}
	}
	return list
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// alternatives says that a value fits none of several schemas. If types are the
// matter in all of them, it lists these; else it tells what the one with the
// fewest violations wants, which is mostly the one that was meant.
func alternatives(err *jsonschema.ValidationError, root string, value any) string {
	var types []string
	var nearest []Violation
	wrongType := 0
	for i, cause := range err.Causes {
		for len(cause.Causes) == 1 {
			cause = cause.Causes[0]
		}
		if k, ok := cause.ErrorKind.(*kind.Type); ok && len(cause.InstanceLocation) == len(err.InstanceLocation) {
			wrongType++
			types = append(types, k.Want...)
		}
		if list := flatten(cause, root, value, nil); i == 0 || len(list) < len(nearest) {
			nearest = list
		}
	}
	if wrongType == len(err.Causes) && wrongType > 0 {
		slices.Sort(types)
		return "must be " + strings.Join(slices.Compact(types), " or ")
	}
	text := fmt.Sprintf("must fit one of %d alternatives", len(err.Causes))
	if len(nearest) > 0 {
		text += fmt.Sprintf("; the nearest wants: %s", nearest[0])
	}
	return text
}

// demand says what a keyword wants; nothing for keywords that only hold others.
func demand(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Type:
		return fmt.Sprintf("must be %s, is %s", strings.Join(k.Want, " or "), k.Got)
	case *kind.Enum:
		return "must be " + oneOf(k.Want)
	case *kind.Const:
		return "must be " + oneOf([]any{k.Want})
	case *kind.Format:
		return "must be of the format " + k.Want
	case *kind.Pattern:
		return "must match the pattern " + k.Want
	case *kind.MinLength:
		return fmt.Sprintf("must have at least %d characters, has %d", k.Want, k.Got)
	case *kind.MaxLength:
		return fmt.Sprintf("must have at most %d characters, has %d", k.Want, k.Got)
	case *kind.MinItems:
		return fmt.Sprintf("must have at least %d items, has %d", k.Want, k.Got)
	case *kind.MaxItems:
		return fmt.Sprintf("must have at most %d items, has %d", k.Want, k.Got)
	case *kind.AdditionalItems:
		return fmt.Sprintf("has %d items too many", k.Count)
	case *kind.MinProperties:
		return fmt.Sprintf("must have at least %d members, has %d", k.Want, k.Got)
	case *kind.MaxProperties:
		return fmt.Sprintf("must have at most %d members, has %d", k.Want, k.Got)
	case *kind.UniqueItems:
		return fmt.Sprintf("must have no two equal items, %d and %d are", k.Duplicates[0], k.Duplicates[1])
	case *kind.Minimum:
		return "must be at least " + decimal(k.Want)
	case *kind.Maximum:
		return "must be at most " + decimal(k.Want)
	case *kind.ExclusiveMinimum:
		return "must be more than " + decimal(k.Want)
	case *kind.ExclusiveMaximum:
		return "must be less than " + decimal(k.Want)
	case *kind.MultipleOf:
		return "must be a multiple of " + decimal(k.Want)
	case *kind.Dependency:
		return fmt.Sprintf("must have %s too, as it has %s", strings.Join(k.Missing, ", "), k.Prop)
	case *kind.DependentRequired:
		return fmt.Sprintf("must have %s too, as it has %s", strings.Join(k.Missing, ", "), k.Prop)
	case *kind.Contains:
		return "must have an item as contains says"
	case *kind.MinContains:
		return fmt.Sprintf("must have at least %d items as contains says, has %d", k.Want, len(k.Got))
	case *kind.MaxContains:
		return fmt.Sprintf("must have at most %d items as contains says, has %d", k.Want, len(k.Got))
	case *kind.Not:
		return "must not be as not says"
	case *kind.FalseSchema:
		return "is not allowed"
	case *kind.RefCycle:
		return "is checked by references that go round in a circle"
	}
	return ""
}

// oneOf lists the values that a schema allows.
func oneOf(values []any) string {
	const most = 10
	var texts []string
	for _, v := range values[:min(len(values), most)] {
		text, err := json.Marshal(v)
		if err != nil { // values of a schema came from JSON
			continue
		}
		texts = append(texts, shorten(string(text)))
	}
	if len(values) > most {
		texts = append(texts, fmt.Sprintf("one of %d others", len(values)-most))
	}
	return strings.Join(texts, " or ")
}

func decimal(r *big.Rat) string {
	if r.IsInt() {
		return r.Num().String()
	}
	f, _ := r.Float64()
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// pathTo writes the place of a value in an event. Whether a step is a name or an
// index only the value itself tells.
func pathTo(root string, tokens []string, value any) string {
	var b strings.Builder
	b.WriteString(root)
	for _, token := range tokens {
		switch v := value.(type) {
		case []any:
			b.WriteString("[" + token + "]")
			value = nil
			if i, err := strconv.Atoi(token); err == nil && i < len(v) {
				value = v[i]
			}
		case map[string]any:
			b.WriteString(step(token))
			value = v[token]
		default:
			b.WriteString(step(token))
		}
	}
	return b.String()
}

// step writes the name of a member as JavaScript would.
func step(name string) string {
	for i, r := range name {
		if r != '_' && r != '$' && !unicode.IsLetter(r) && (i == 0 || !unicode.IsDigit(r)) {
			return "[" + quoted(name) + "]"
		}
	}
	if name == "" {
		return `[""]`
	}
	return "." + shorten(name)
}

// quoted writes a name that a sender chose.
func quoted(name string) string { return strconv.Quote(shorten(name)) }

// shorten cuts a text at 60 bytes or just before.
func shorten(text string) string {
	const most = 60
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// pointer writes a JSON pointer.
func pointer(tokens []string) string {
	var b strings.Builder
	for _, token := range tokens {
		b.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(token))
	}
	return b.String()
}
