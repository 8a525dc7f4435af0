// Package expr compiles and evaluates the expressions of functions without an
// SDK, and the templates that hold them. What the names stand for is for
// functions/program.
package expr
