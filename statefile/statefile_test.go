package statefile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestName_isAnotherOneForEachID(t *testing.T) {
	seen := map[string]string{}
	for _, id := range []string{
		"shop", "Shop", "SHOP", "shop-1", "shop_1", "shop/1", "shop%2f1", "..", ".", "../shop", "a b", "ж", "",
		strings.Repeat("x", 201), strings.Repeat("x", 202), strings.Repeat("X", 100),
	} {
		name := Name(id)
		if other, taken := seen[strings.ToLower(name)]; taken {
			t.Errorf("Name(%.20q) = Name(%.20q) = %q", id, other, name)
		}
		seen[strings.ToLower(name)] = id
		if filepath.Base(name) != name || !strings.HasSuffix(name, ".json") || len(name) > 255 || name[0] == '.' && name != ".json" {
			t.Errorf("Name(%.20q) = %q", id, name)
		}
	}
}

func TestSave_replacesWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "a.json")
	for _, text := range []string{"first, longer", "second"} {
		if err := Save(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("file = %q, %v, want %q", got, err, text)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v, %v, want that of secrets", info.Mode(), err)
	}
}

func TestSave_leavesNothingWhenItFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.json")
	if err := os.MkdirAll(filepath.Join(path, "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Save(path, []byte("x")); err == nil {
		t.Fatal("Save to a folder's name succeeds")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, unfinished+"*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestClean_removesWhatIsHalfWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	if err := Clean(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{unfinished + "1", "kept.json"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := Clean(dir); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 1 || filepath.Base(left[0]) != "kept.json" {
		t.Errorf("left = %v", left)
	}
}

func TestSetAside_keepsTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.json")
	if err := Save(path, []byte("damaged")); err != nil {
		t.Fatal(err)
	}
	aside, err := SetAside(path, time.Date(2026, 11, 24, 1, 2, 3, 4, time.UTC))
	if err != nil || aside != path+".damaged-20261124T010203.000000004Z" {
		t.Errorf("SetAside = %s, %v", aside, err)
	}
	if text, err := os.ReadFile(aside); err != nil || string(text) != "damaged" {
		t.Errorf("set aside = %q, %v", text, err)
	}
}
