package recorded

import "testing"

func TestLoad_returnsEveryExchangeInOrder(t *testing.T) {
	all := Load(t)
	if len(all) != 139 {
		t.Fatalf("Load returned %d exchanges, want 139", len(all))
	}
	for i, x := range all {
		if x.Number != i+1 {
			t.Errorf("exchange %d has the number %d", i+1, x.Number)
		}
		if x.Group == "" || x.Request.Method == "" || x.Request.Target == "" || x.Response.Status == 0 {
			t.Errorf("%s is not complete: %+v", x.Name, x)
		}
		if x.Direction != ToApp && x.Direction != ToInngest {
			t.Errorf("%s has the direction %q", x.Name, x.Direction)
		}
	}
}

func TestPlain_undoesRecordedCodings(t *testing.T) {
	for _, number := range []int{101, 102} {
		x := One(t, number)
		if got := x.Response.Plain(t); len(got) == 0 || got[0] != '{' && got[0] != '[' && got[0] != '"' {
			t.Errorf("%s: Plain = %q, want JSON", x.Name, got)
		}
	}
}
