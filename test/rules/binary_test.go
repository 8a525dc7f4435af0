package rules

import (
	"debug/elf"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// A linked package is one that ends up in the binary.
type linkedPackage struct {
	ImportPath string
	Dir        string
	Module     *struct {
		Path, Version, Dir string
		Main               bool
	}
}

// program is the command, or all packages as long as there is none.
func program(t *testing.T) string {
	t.Helper()
	if files, _ := filepath.Glob(filepath.Join(root, "cmd/gateway/*.go")); len(files) == 0 {
		return "./..."
	}
	return "./cmd/gateway"
}

// linked lists what the binary links, the standard library left out.
func linked(t *testing.T) []linkedPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Dir,Module", program(t))
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr(err))
	}
	var packages []linkedPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p linkedPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		if p.Module != nil {
			packages = append(packages, p)
		}
	}
	if len(packages) == 0 {
		t.Fatal("go list names no package of a module")
	}
	return packages
}

func stderr(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return string(exit.Stderr)
	}
	return ""
}

// inngestgo is Apache-2.0 but links packages of inngest/inngest, which is SSPL.
func TestBinary_linksNothingOfInngest(t *testing.T) {
	for _, p := range linked(t) {
		if strings.HasPrefix(p.ImportPath, "github.com/inngest/") {
			t.Errorf("the binary links %s: it belongs to tests in a module of their own (test/sdk)", p.ImportPath)
		}
	}
}

// Texts that only one licence has. A licence file may hold several.
var allowedLicences = map[string]string{
	"MIT":        "permission is hereby granted, free of charge, to any person obtaining a copy",
	"BSD":        "redistribution and use in source and binary forms, with or without modification",
	"ISC":        "permission to use, copy, modify, and/or distribute this software for any purpose",
	"ISC (old)":  "permission to use, copy, modify, and distribute this software for any purpose",
	"Apache-2.0": "apache license version 2.0",
}

var refusedLicences = map[string]string{
	"GPL, LGPL or AGPL": "gnu general public license|gnu lesser general public license|gnu affero general public license",
	"SSPL":              "server side public license",
	"MPL":               "mozilla public license",
	"BUSL":              "business source license",
	"Elastic":           "elastic license",
	"EPL":               "eclipse public license",
	"CC":                "creative commons",
}

func TestBinary_linksKnownLicencesOnly(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range linked(t) {
		if p.Module.Main {
			continue
		}
		// The licence of a folder goes before its module's.
		for dir := p.Dir; len(dir) >= len(p.Module.Dir); dir = filepath.Dir(dir) {
			if seen[dir] {
				continue
			}
			seen[dir] = true
			files := licenceFiles(t, dir)
			if len(files) == 0 && dir == p.Module.Dir {
				t.Errorf("%s %s has no licence file", p.Module.Path, p.Module.Version)
			}
			for _, path := range files {
				text, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if problem := judge(string(text)); problem != "" {
					t.Errorf("%s %s: %s: %s", p.Module.Path, p.Module.Version, filepath.Base(path), problem)
				}
			}
		}
	}
}

func TestJudge_refusesWhatIsNotOnTheList(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		ok   bool
	}{
		"ours":                    {read(t, "LICENSE"), true},
		"wrapped":                 {"Redistribution and use in source\n  and binary forms, with or\nwithout modification", true},
		"nothing":                 {"", false},
		"somebody's own":          {"You may use this on Tuesdays.", false},
		"MPL":                     {"Mozilla Public License Version 2.0", false},
		"Apache in the future":    {"Server Side Public License ... Apache License, Version 2.0", false},
		"two, one of them is GPL": {"Permission is hereby granted, free of charge, to any person obtaining a copy ... GNU General Public License", false},
	} {
		t.Run(name, func(t *testing.T) {
			if problem := judge(c.text); (problem == "") != c.ok {
				t.Errorf("judge = %q, want allowed %v", problem, c.ok)
			}
		})
	}
}

// judge says what is wrong with a licence, or nothing.
func judge(text string) string {
	text = regexp.MustCompile(`[\s*#/,]+`).ReplaceAllString(strings.ToLower(text), " ")
	plain := func(s string) string { return strings.ReplaceAll(s, ",", "") }
	for licence, pattern := range refusedLicences {
		if regexp.MustCompile(pattern).MatchString(text) {
			return licence + " is not allowed in the binary"
		}
	}
	for _, words := range allowedLicences {
		words = strings.ReplaceAll(plain(words), "and/or", "and or")
		if strings.Contains(text, words) {
			return ""
		}
	}
	return "none of MIT, BSD, ISC, Apache-2.0"
}

func licenceFiles(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, e := range entries {
		base := strings.ToUpper(e.Name())
		if !e.IsDir() && filepath.Ext(base) != ".GO" && slices.ContainsFunc([]string{"LICENSE", "LICENCE", "COPYING"}, func(s string) bool { return strings.HasPrefix(base, s) }) {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	return files
}

// The image is built from what .dockerignore lets through.
func TestBinary_needsNothingThatTheImageIsNotBuiltFrom(t *testing.T) {
	var ignored []string
	for _, line := range strings.Split(read(t, ".dockerignore"), "\n") {
		if line != "" && !strings.ContainsAny(line, "#*") {
			ignored = append(ignored, line)
		}
	}
	for _, p := range linked(t) {
		dir, ours := strings.CutPrefix(p.ImportPath, module+"/")
		if first, _, _ := strings.Cut(dir, "/"); ours && slices.Contains(ignored, first) {
			t.Errorf("the binary links %s, and .dockerignore leaves out %s", p.ImportPath, first)
		}
	}
}

// The binary runs in an empty image and starts quickly on a small machine.
func TestBinary_isStaticAndSmall(t *testing.T) {
	if program(t) != "./cmd/gateway" {
		t.Skip("there is no command yet")
	}
	const limit = 48 << 20 // of it 12 MiB are the embedded NATS server and CEL
	out := filepath.Join(t.TempDir(), "gateway")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-ldflags", "-s -w", "-o", out, "./cmd/gateway")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, text)
	}
	info, err := os.Stat(out)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > limit {
		t.Errorf("the binary has %d bytes, limit %d", info.Size(), limit)
	}
	if runtime.GOOS != "linux" {
		return
	}
	bin, err := elf.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer bin.Close()
	for _, p := range bin.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the binary needs a dynamic linker: it does not run in an empty image")
		}
	}
}
