package inngest_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// declaredCodes reads the constants of type Code out of code.go.
func declaredCodes(t *testing.T) []inngest.Code {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "code.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var codes []inngest.Code
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); !ok || typ.Name != "Code" {
			t.Errorf("constant %s of code.go is not typed as Code", spec.Names[0])
			return false
		}
		text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		codes = append(codes, inngest.Code(text))
		return false
	})
	return codes
}

func TestCodes_listsEveryConstantOnce(t *testing.T) {
	if diff := cmp.Diff(declaredCodes(t), inngest.Codes()); diff != "" {
		t.Errorf("Codes differs from the constants of code.go (-constants +Codes):\n%s", diff)
	}
	seen := make(map[inngest.Code]bool)
	form := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	for _, c := range inngest.Codes() {
		if seen[c] || !form.MatchString(string(c)) {
			t.Errorf("code %q is listed twice or is not words in lower case", c)
		}
		seen[c] = true
	}
}

// One section a code in docs/errors.md, in the order of Codes, with its status
// and the three answers that somebody who sees the code looks for.
func TestErrorsDoc_tellsEveryCode(t *testing.T) {
	doc, err := os.ReadFile("../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := strings.Split(string(doc), "\n### ")[1:]
	var titles []inngest.Code
	for _, section := range sections {
		title, text, _ := strings.Cut(section, "\n")
		code := inngest.Code(strings.Trim(title, "`"))
		titles = append(titles, code)
		if status := "**Status** " + strconv.Itoa(code.Status()); !strings.Contains(text, status) {
			t.Errorf("docs/errors.md: section %s lacks %q", code, status)
		}
		for _, part := range []string{"**Meaning**", "**Next**", "**Do**"} {
			if !strings.Contains(text, part) {
				t.Errorf("docs/errors.md: section %s lacks %s", code, part)
			}
		}
	}
	if !slices.Equal(titles, inngest.Codes()) {
		t.Errorf("sections of docs/errors.md differ from Codes (-Codes +sections):\n%s", cmp.Diff(inngest.Codes(), titles))
	}
}

func TestStatus_isKnownForEveryCode(t *testing.T) {
	for _, c := range inngest.Codes() {
		if s := c.Status(); s < 400 || s > 599 {
			t.Errorf("%s.Status() = %d", c, s)
		}
	}
	if s := inngest.Code("no_such_code").Status(); s != 0 {
		t.Errorf("Status of an unknown code = %d, want 0", s)
	}
}
