package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// What people read is compared with files, so that a change of it is seen in
// the diff: go test ./cmd/gateway -update writes them.
func TestHelp_isAsReviewed(t *testing.T) {
	wanted := map[string]bool{}
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		words := strings.Fields(c.CommandPath())
		file := filepath.Join("testdata", "help", strings.Join(words, "-")+".golden")
		wanted[filepath.Base(file)] = true
		t.Run(c.CommandPath(), func(t *testing.T) { compareHelp(t, file, words[1:]) })
		for _, below := range c.Commands() {
			visit(below)
		}
	}
	visit(newRoot(env{}))

	files, err := os.ReadDir("testdata/help")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !wanted[f.Name()] {
			t.Errorf("testdata/help/%s is the help of no command", f.Name())
		}
	}
}

func compareHelp(t *testing.T, file string, command []string) {
	var out, errs bytes.Buffer
	root := newRoot(env{stdout: &out, stderr: &errs})
	root.SetArgs(append(command, "--help"))
	if err := root.Execute(); err != nil || errs.Len() > 0 {
		t.Fatalf("%v %s", err, &errs)
	}
	if *update {
		if err := os.WriteFile(file, out.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Errorf("help (-reviewed +got), -update rewrites it:\n%s", diff)
	}
}

// The screen of a terminal has 80 columns.
func TestHelp_fitsATerminal(t *testing.T) {
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		for line := range strings.Lines(c.Long) {
			if n := len([]rune(strings.TrimRight(line, "\n"))); n > 80 {
				t.Errorf("%s: a line of %d columns: %s", c.CommandPath(), n, line)
			}
		}
		if c.HasParent() && c.Short == "" {
			t.Errorf("%s says nothing in the list of commands", c.CommandPath())
		}
		for _, below := range c.Commands() {
			visit(below)
		}
	}
	visit(newRoot(env{}))
}
