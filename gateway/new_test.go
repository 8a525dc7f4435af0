package gateway

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/inngest-gateway/inngest-gateway/config"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

// A configuration that was loaded has been checked; what New finds is what only
// this machine can tell, and what a configuration made in code has wrong.
func TestNew_refusesWhatCannotWork(t *testing.T) {
	dir := t.TempDir()
	noFolder, noCertificate := filepath.Join(dir, "file"), filepath.Join(dir, "ca.pem")
	for _, file := range []string{noFolder, noCertificate} {
		if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		change func(*Options)
		want   string // in the error
	}{
		"no configuration":    {func(o *Options) { o.Config = nil }, "Config or LogTo is missing"},
		"nowhere to log":      {func(o *Options) { o.LogTo = nil }, "Config or LogTo is missing"},
		"state_dir is a file": {func(o *Options) { o.Config.StateDir = noFolder }, noFolder},
		"no CA file":          {func(o *Options) { o.Config.Apps[0].Upstream.TLS.CAFile = filepath.Join(dir, "none") }, "tls.ca_file: open "},
		"no CA in the file":   {func(o *Options) { o.Config.Apps[0].Upstream.TLS.CAFile = noCertificate }, "holds no certificate"},
		"no app":              {func(o *Options) { o.Config.Apps = nil }, "no app"},
		"two apps of one id":  {func(o *Options) { o.Config.Apps = append(o.Config.Apps, o.Config.Apps[0]) }, `two apps have the id "shop"`},
		"no such environment": {func(o *Options) { o.Config.Apps[0].Inngest = "prod" }, `app shop: no environment is called "prod"`},
		"no such log format":  {func(o *Options) { o.Config.Log.Format = "xml" }, `"xml"`},
		"a key that is none":  {func(o *Options) { o.Config.Inngest.SigningKey = config.NewSecret("secret") }, "signing key: "},
		"a local key that is none": {func(o *Options) {
			o.Config.Apps[0].Local.SigningKey = config.NewSecret("secret")
		}, "app shop: local signing key: "},
		"a fallback key alone": {func(o *Options) {
			o.Config.Inngest.SigningKey, o.Config.Inngest.SigningKeyFallback = config.Secret{}, config.NewSecret(recorded.SigningKey)
		}, "a fallback key without a signing key"},
		"an endpoint that is none": {func(o *Options) { o.Config.Apps[0].Upstream.Endpoints = []string{"ftp://x"} }, "app shop: "},
		"a path that is none":      {func(o *Options) { o.Config.Apps[0].Path = "api" }, `"api"`},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Config: load(t, oneApp("http://127.0.0.1:1", "http://127.0.0.1:1", "")), Version: "test", LogTo: io.Discard}
			c.change(&o)
			g, err := New(o)
			if err == nil || !strings.Contains(err.Error(), c.want) || g != nil {
				t.Errorf("New = %v, %v; want nil and an error with %q", g, err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("New = %v, which shows a key", err)
			}
		})
	}
}
