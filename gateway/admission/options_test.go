package admission

import (
	"errors"
	"strings"
	"testing"
	"time"
)

type badStore struct{ memory }

func (badStore) Load() (State, error) { return State{}, errors.New("disk") }

func TestNew_refusesOptionsThatCannotWork(t *testing.T) {
	for want, change := range map[string]func(*Options){
		"App":             func(o *Options) { o.App = "" },
		"Names":           func(o *Options) { o.Names.Wait = "" },
		"Callee":          func(o *Options) { o.Callee = nil },
		"Wait.Max is":     func(o *Options) { o.Wait.Max = 2 * time.Hour },
		"Wait.Auto":       func(o *Options) { o.Wait.Auto = true },
		"MaxCalls":        func(o *Options) { o.Wait.MaxCalls = 0 },
		"MaxBytes":        func(o *Options) { o.Wait.MaxBytes = 0 },
		"Concurrency":     func(o *Options) { o.Concurrency = Concurrency{Min: 2, Max: 1} },
		"Guard.Replay":    func(o *Options) { o.Guard.Replay = time.Second },
		"Guard.MaxAnswer": func(o *Options) { o.Guard.MaxAnswer = 0 },
		"Tolerance":       func(o *Options) { o.Tolerance = -1 },
		"Budget":          func(o *Options) { o.Budget = nil },
		"disk":            func(o *Options) { o.Store = &badStore{} },
	} {
		o := options(t, &fakeApp{})
		change(&o)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New = %v, want an error that names %s", err, want)
		}
	}
	if _, err := New(options(t, &fakeApp{})); err != nil {
		t.Errorf("New = %v, want nil", err)
	}
}
