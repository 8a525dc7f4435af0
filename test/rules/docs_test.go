package rules

import (
	"encoding/json"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"testing"
)

// documents returns the texts for people, by path.
func documents(t *testing.T) map[string]string {
	t.Helper()
	docs := map[string]string{}
	walk(t, func(path string, _ fs.DirEntry) {
		if strings.HasSuffix(path, ".md") {
			docs[path] = read(t, path)
		}
	})
	return docs
}

var codePattern = regexp.MustCompile("(?s)```.*?```|`[^`\n]+`")

func TestDocs_nameMakeTargetsThatExist(t *testing.T) {
	targets := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^([a-z-]+):`).FindAllStringSubmatch(read(t, "Makefile"), -1) {
		targets[m[1]] = true
	}
	for doc, text := range documents(t) {
		for _, code := range codePattern.FindAllString(text, -1) {
			for _, m := range regexp.MustCompile(`(?m)(?:^|[\x60 ;&])make ([a-z-]+)`).FindAllStringSubmatch(code, -1) {
				if !targets[m[1]] {
					t.Errorf("%s says make %s, which the Makefile does not have", doc, m[1])
				}
			}
		}
	}
}

func TestDocs_nameCommandsThatExist(t *testing.T) {
	commands := map[string]bool{"help": true}
	for _, f := range goFiles(t) {
		if f.dir != "cmd/gateway" {
			continue
		}
		for _, m := range regexp.MustCompile(`Use:\s*"([a-z]+)`).FindAllStringSubmatch(f.text, -1) {
			commands[m[1]] = true
		}
	}
	for doc, text := range documents(t) {
		for _, code := range codePattern.FindAllString(text, -1) {
			for _, m := range regexp.MustCompile(`(?m)(?:^\$? ?|\x60|\./bin/|\./cmd/)gateway ([a-z]+)`).FindAllStringSubmatch(code, -1) {
				if !commands[m[1]] {
					t.Errorf("%s says gateway %s, which is no command", doc, m[1])
				}
			}
		}
	}
}

// A path in the docs that leads nowhere sends a newcomer astray.
func TestDocs_linkToFilesThatExist(t *testing.T) {
	files := map[string]bool{}
	walk(t, func(p string, _ fs.DirEntry) {
		for ; p != "."; p = path.Dir(p) {
			files[p] = true
		}
	})
	for doc, text := range documents(t) {
		for _, m := range regexp.MustCompile(`\]\(([^)#]+)(?:#[^)]*)?\)`).FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			if target := path.Join(path.Dir(doc), m[1]); !files[target] {
				t.Errorf("%s links to %s, which is not there", doc, m[1])
			}
		}
		for _, m := range regexp.MustCompile("`([a-z]+(?:/[a-z0-9_-]+)*/[a-z0-9_-]+\\.go)`").FindAllStringSubmatch(text, -1) {
			if !files[m[1]] {
				t.Errorf("%s names %s, which is not there", doc, m[1])
			}
		}
	}
}

// A lock file that names a registry works on machines that reach that one only.
func TestNodeLockFile_namesNoRegistry(t *testing.T) {
	var lock struct {
		Packages map[string]struct {
			Version, Resolved, Integrity string
			Link                         bool
		}
	}
	if err := json.Unmarshal([]byte(read(t, "test/node/package-lock.json")), &lock); err != nil {
		t.Fatal(err)
	}
	if len(lock.Packages) < 2 {
		t.Fatal("test/node/package-lock.json lists no package")
	}
	for name, p := range lock.Packages {
		if p.Resolved != "" {
			t.Errorf("%s is resolved to %s", name, p.Resolved)
		}
		if name != "" && !p.Link && p.Integrity == "" {
			t.Errorf("%s has no integrity hash", name)
		}
	}
}
