package deliver

import (
	"testing"
	"time"
)

func TestOptions_areChecked(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"no environments":                   func(o *Options) { o.Environments = nil },
		"a URL without a scheme":            func(o *Options) { o.Environments = map[string]string{"prod": "inn.gs"} },
		"a URL with a password":             func(o *Options) { o.Environments = map[string]string{"prod": "https://a:b@inn.gs"} },
		"a URL with a query":                func(o *Options) { o.Environments = map[string]string{"prod": "https://inn.gs?x=1"} },
		"no transport":                      func(o *Options) { o.Transport = nil },
		"no keys":                           func(o *Options) { o.Keys = nil },
		"no timeout":                        func(o *Options) { o.Timeout = 0 },
		"no bound for answers":              func(o *Options) { o.MaxAnswer = 0 },
		"no bound for batches":              func(o *Options) { o.MaxBytes = 0 },
		"no time to regrow":                 func(o *Options) { o.Regrow = 0 },
		"no time to remember":               func(o *Options) { o.Remember = 0 },
		"probes that end before their POST": func(o *Options) { o.Breaker.ProbeTimeout = time.Second },
		"a breaker that never opens":        func(o *Options) { o.Breaker.ConsecutiveFailures = 0 },
		"no metrics":                        func(o *Options) { o.Metrics = nil },
		"no log":                            func(o *Options) { o.Log = nil },
	} {
		o := clientOptions("http://127.0.0.1:1")
		if change(&o); !fails(New(o)) {
			t.Errorf("New takes %s", name)
		}
	}
	for name, change := range map[string]func(*DrainerOptions){
		"no spool":              func(o *DrainerOptions) { o.Spool = nil },
		"no client":             func(o *DrainerOptions) { o.Client = nil },
		"no concurrency":        func(o *DrainerOptions) { o.Concurrency = 0 },
		"no bound for events":   func(o *DrainerOptions) { o.MaxEvents = 0 },
		"a back-off that falls": func(o *DrainerOptions) { o.Backoff.Max = o.Backoff.Min - 1 },
		"no time to set back":   func(o *DrainerOptions) { o.SetBack.Min = 0 },
		"nothing to set back":   func(o *DrainerOptions) { o.MaxSetBack = 0 },
		"no age":                func(o *DrainerOptions) { o.MaxAge = 0 },
		"no claims":             func(o *DrainerOptions) { o.Extend = 0 },
		"no looks":              func(o *DrainerOptions) { o.Look = 0 },
		"no clock":              func(o *DrainerOptions) { o.Now = nil },
		"no metrics":            func(o *DrainerOptions) { o.Metrics = nil },
		"no log":                func(o *DrainerOptions) { o.Log = nil },
	} {
		o := drainerOptions(noSource{}, &Client{})
		if change(&o); !fails(NewDrainer(o)) {
			t.Errorf("NewDrainer takes %s", name)
		}
	}
}

func fails[T any](_ T, err error) bool { return err != nil }

// noSource is for options that are never used.
type noSource struct{ source }
