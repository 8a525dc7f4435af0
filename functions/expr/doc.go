// Package expr compiles and evaluates the expressions of functions without an
// SDK, and the templates that hold them. What the names in them stand for, and
// when something is evaluated, is for functions/program and functions/spec.
//
// # Expressions
//
// The language is CEL, which Inngest's server uses too, with CEL's extensions
// for strings, math, lists and encoders. Four things differ from plain CEL:
//
//   - A number of JSON is an int if it is whole, 5 and 5.0 alike, and else a
//     double. + - * / take one of each, and 5 / 2 is 2.5: what a number is worth
//     decides, not how it is written.
//   - The members of an object are met in the order of their names, so that a
//     macro over an object gives the same each time.
//   - chunks(list, n) cuts a list into lists of n, merge(a, b) is the object a
//     with the members of b added or replaced, toJson(x) is its JSON text and
//     fromJson(text) the other way round.
//   - There is no now(): what an expression gives depends on its names alone. A
//     run is interpreted many times and must take the same way each time.
//
// One evaluation is bounded by [Options.MaxCost].
//
// # Templates
//
// A template is any JSON structure in which strings may hold ${expression}. A
// string that is one expression and nothing else becomes its value with its
// type; in any other string the value is written as text: a string as it is,
// null as nothing, everything else as JSON. $${ stands for ${ itself. Names of
// members are literal.
//
// A [URL] is a template in which scheme and host are literal: data decides what
// is asked for, never who is asked. Each value fills one part of the path or of
// the query and is encoded for it. A value that would not stay where it was put
// (null, an object, an empty part of the path, "." and "..") is an error.
//
// A [ServerExpr] is an expression that Inngest's server evaluates. The values of
// ${…} in it are written as literals.
package expr
