package config

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// Whatever stands in a file: a configuration that is valid, or problems that
// say where and what, and never a panic or a key.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		"", minimal, "apps: [{}]", "apps: ~", "a: &a [*a]", "<<: {a: 1}", "<<: [*x]", "? [a]\n: b", "\"\\0\": {\"a\\0b\": 1}",
		"apps:\n- <<: &x {id: a}\n  path: /a\n- *x", "inngest: {signing_keys: [a, {b: c}]}", "---\n---\n", "limits: !!binary aGk=",
		"\"\": {\"\": 1}", "inngest: {a: {b: c}, \"\": {}, env: {}}", "apps: {0: {path: /x}}", "trusted_proxies: [::1, 10.0.0.0/33]",
	} {
		f.Add(seed, "GATEWAY_APPS__0__PATH=/x")
	}
	if full, err := os.ReadFile("../configs/full.yaml"); err == nil {
		f.Add(string(full), "GATEWAY_TRUSTED_PROXIES__0=::1")
	}
	f.Add(minimal, "GATEWAY_APP_URL=http://x/%zz")
	f.Add(minimal, "GATEWAY_APPS__65535__UPSTREAM__ENDPOINTS=,")
	f.Add(minimal, "INNGEST_DEV=http://[::1")
	f.Fuzz(func(t *testing.T, file, variable string) {
		const key = "signkey-prod-fee1900dfee1900d"
		s := sources(file, variable, "KEY="+key, "GATEWAY_ADMIN__TOKEN="+key)
		s.File = "gw.yaml"
		s.ReadFile = func(string) ([]byte, error) { return []byte(file), nil }
		cfg, err := Load(s)
		if err == nil {
			if err := cfg.Validate(); err != nil {
				t.Errorf("Load takes what Validate refuses: %v", err)
			}
			return
		}
		var problems Problems
		if !errors.As(err, &problems) || len(problems) == 0 {
			t.Fatalf("Load = %v, want problems", err)
		}
		for _, p := range problems {
			if p.Got == "" || p.Want == "" {
				t.Errorf("problem %+v lacks words", p)
			}
			if strings.Contains(p.String(), key) {
				t.Errorf("problem shows a key: %v", p)
			}
		}
	})
}
