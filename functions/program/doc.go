// Package program compiles and runs functions that are a list of steps in YAML.
// Expressions are package expr's; what the steps' results mean to Inngest is
// package functions' own.
package program
