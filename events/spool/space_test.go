package spool

import (
	"errors"
	"testing"
)

func TestAppend_leavesRoomOnTheDisk(t *testing.T) {
	o := options(t.TempDir())
	free, err := freeBytes(o.Dir)
	if err != nil || free <= 0 {
		t.Fatalf("freeBytes = %d, %v", free, err)
	}
	for name, c := range map[string]struct {
		minFree int64
		want    error
	}{
		"none is kept":           {0, nil},
		"less than there is":     {1, nil},
		"more than any disk has": {1 << 60, ErrFull},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t.TempDir())
			o.MinFree = c.minFree
			if err := open(t, o).Append(t.Context(), record(1, []byte("[]"))); !errors.Is(err, c.want) {
				t.Errorf("Append = %v, want %v", err, c.want)
			}
		})
	}
}

func TestNew_refusesToKeepLessThanNothingFree(t *testing.T) {
	o := options(t.TempDir())
	o.MinFree = -1
	if _, err := New(o); err == nil {
		t.Error("New takes a negative MinFree")
	}
}
