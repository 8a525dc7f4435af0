package config

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/pflag"
)

const (
	testKey  = "signkey-prod-1234567890abcdef1234567890abcdef"
	otherKey = "signkey-prod-00000000000000000000000000000001"
)

// sources returns sources with a file, none if its text is empty.
func sources(file string, env ...string) Sources {
	files := map[string]string{"/run/secrets/key": testKey + "\n", "/run/secrets/empty": "\n"}
	s := Sources{Env: env}
	if file != "" {
		s.File, files["gw.yaml"] = "gw.yaml", file
	}
	s.ReadFile = func(path string) ([]byte, error) {
		text, ok := files[path]
		if !ok {
			return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		}
		return []byte(text), nil
	}
	return s
}

func mustLoad(t testing.TB, s Sources) *Config {
	t.Helper()
	cfg, err := Load(s)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return cfg
}

// diff compares what a configuration has, not where it was read from.
func diff(want, got *Config) string {
	return cmp.Diff(want, got, cmpopts.IgnoreUnexported(Config{}), cmp.AllowUnexported(Portion{}), cmpopts.EquateComparable())
}

// one returns the defaults with one app at an endpoint, and a key.
func one(change func(*Config, *App)) *Config {
	cfg, app := Default(), DefaultApp()
	cfg.Inngest.SigningKey = NewSecret(testKey)
	app.Upstream.Endpoints = []string{"http://127.0.0.1:3000"}
	app.Upstream.Path = app.Path
	if change != nil {
		change(&cfg, &app)
	}
	cfg.Apps = []App{app}
	return &cfg
}

func TestLoad_takesASidecarFromTheEnvironmentAlone(t *testing.T) {
	got := mustLoad(t, sources("",
		"INNGEST_SIGNING_KEY="+testKey,
		"INNGEST_EVENT_KEY=events",
		"GATEWAY_APP_URL=http://127.0.0.1:3000/hooks/inngest",
	))
	want := one(func(c *Config, a *App) {
		c.Inngest.EventKey = NewSecret("events")
		a.Path, a.Upstream.Path = "/hooks/inngest", "/hooks/inngest"
	})
	if d := diff(want, got); d != "" {
		t.Errorf("Load (-want +got):\n%s", d)
	}
	if got.File() != "" {
		t.Errorf("File = %q, want none", got.File())
	}
}

const minimal = `
inngest: {signing_key: env:KEY}
apps:
  - id: shop
    upstream: {endpoints: ["http://127.0.0.1:3000"]}
`

func TestLoad_laysSourcesOverEachOther(t *testing.T) {
	shop := func(change func(*Config, *App)) *Config {
		return one(func(c *Config, a *App) {
			a.ID = "shop"
			change(c, a)
		})
	}
	for name, c := range map[string]struct {
		file  string
		env   []string
		flags []string
		want  *Config
	}{
		"defaults stand where nothing is said": {file: minimal, want: shop(func(*Config, *App) {})},
		"a group without settings keeps its defaults": {
			file: minimal + "limits:\n  # body: 1MiB\ndrain: ~\n",
			want: shop(func(*Config, *App) {}),
		},
		"the file over defaults": {
			file: minimal + "limits: {memory: 512MiB}\ndrain: {delay: 5s}",
			want: shop(func(c *Config, _ *App) {
				c.Limits.Memory, c.Drain.Delay = PortionOf(512*MiB), 5*time.Second
			}),
		},
		"variables over the file": {
			file: minimal + "limits: {memory: 512MiB, body: 1MiB}",
			env:  []string{"GATEWAY_LIMITS__MEMORY=25%", "GATEWAY_PUBLIC_URL=https://gw/"},
			want: shop(func(c *Config, _ *App) {
				c.Limits.Memory, c.Limits.Body, c.PublicURL = PercentOf(25), MiB, "https://gw"
			}),
		},
		"flags over variables": {
			file:  minimal,
			env:   []string{"GATEWAY_LIMITS__BODY=1MiB", "GATEWAY_STATE_DIR=/a"},
			flags: []string{"--set=limits.body=2MiB", "--state-dir=/b", "--set=apps[0].path=/x"},
			want: shop(func(c *Config, a *App) {
				c.Limits.Body, c.StateDir, a.Path, a.Upstream.Path = 2*MiB, "/b", "/x", "/x"
			}),
		},
		"a variable of a list element": {
			file: minimal,
			env:  []string{"GATEWAY_APPS__0__CHECKPOINTING=false", "GATEWAY_APPS__0__UPSTREAM__ENDPOINTS__1=unix:///a.sock"},
			want: shop(func(_ *Config, a *App) {
				a.Checkpointing = new(bool)
				a.Upstream.Endpoints = append(a.Upstream.Endpoints, "unix:///a.sock")
			}),
		},
		"an app made of variables": {
			env:  []string{"GATEWAY_APPS__0__UPSTREAM__ENDPOINTS=http://127.0.0.1:3000", "GATEWAY_APPS__0__ID=shop", "INNGEST_SIGNING_KEY=" + testKey},
			want: shop(func(_ *Config, a *App) {}),
		},
		"a list in a variable": {
			file: minimal,
			env:  []string{"GATEWAY_APPS__0__UPSTREAM__ENDPOINTS=http://a:1, http://b:2"},
			want: shop(func(_ *Config, a *App) { a.Upstream.Endpoints = []string{"http://a:1", "http://b:2"} }),
		},
		"a variable of the SDKs over the file": {
			file: minimal,
			env:  []string{"INNGEST_BASE_URL=http://inngest:8288/", "INNGEST_EVENT_API_BASE_URL=http://events:8288", "INNGEST_ENV=pr-1"},
			want: shop(func(c *Config, _ *App) {
				c.Inngest.APIURL, c.Inngest.EventURL, c.Inngest.Env = "http://inngest:8288", "http://events:8288", "pr-1"
			}),
		},
		"our variable over that of the SDKs": {
			file: minimal,
			env:  []string{"INNGEST_BASE_URL=http://a", "INNGEST_API_BASE_URL=http://b", "GATEWAY_INNGEST__API_URL=http://c"},
			want: shop(func(c *Config, _ *App) { c.Inngest.APIURL, c.Inngest.EventURL = "http://c", "http://a" }),
		},
		"the serve origin under public_url": {
			file: minimal + "public_url: https://gw",
			env:  []string{"INNGEST_SERVE_ORIGIN=https://app", "INNGEST_SERVE_PATH=/serve"},
			want: shop(func(c *Config, a *App) {
				c.PublicURL, a.Path, a.Upstream.Path = "https://gw", "/serve", "/serve"
			}),
		},
		"the serve origin where there is no public_url": {
			file: minimal,
			env:  []string{"INNGEST_SERVE_ORIGIN=https://app"},
			want: shop(func(c *Config, _ *App) { c.PublicURL = "https://app" }),
		},
		"the serve path at the gateway, the URL's at the app": {
			env:  []string{"INNGEST_SERVE_PATH=/serve", "GATEWAY_APP_URL=http://127.0.0.1:3000/app", "INNGEST_SIGNING_KEY=" + testKey},
			want: one(func(_ *Config, a *App) { a.Path, a.Upstream.Path = "/serve", "/app" }),
		},
		"the app's URL over the only app of a file": {
			file: minimal,
			env:  []string{"GATEWAY_APP_URL=http://127.0.0.1:4000"},
			want: shop(func(_ *Config, a *App) { a.Upstream.Endpoints = []string{"http://127.0.0.1:4000"} }),
		},
		"the app's URL as a flag": {
			env:   []string{"GATEWAY_APP_URL=http://127.0.0.1:4000", "INNGEST_SIGNING_KEY=" + testKey},
			flags: []string{"--app-url", "unix:///run/app.sock"},
			want:  one(func(_ *Config, a *App) { a.Upstream.Endpoints = []string{"unix:///run/app.sock"} }),
		},
		"development by a switch, at the development server": {
			file: minimal,
			env:  []string{"INNGEST_DEV=1"},
			want: shop(func(c *Config, _ *App) {
				c.InsecureSkipVerify, c.Inngest.APIURL, c.Inngest.EventURL = true, "http://localhost:8288", "http://localhost:8288"
			}),
		},
		"development by a URL": {
			file: minimal + "insecure_skip_verify: false",
			env:  []string{"INNGEST_DEV=http://dev:8288"},
			want: shop(func(c *Config, _ *App) {
				c.InsecureSkipVerify, c.Inngest.APIURL, c.Inngest.EventURL = true, "http://dev:8288", "http://dev:8288"
			}),
		},
		"no development by a zero": {
			file: minimal + "insecure_skip_verify: true",
			env:  []string{"INNGEST_DEV=0"},
			want: shop(func(c *Config, _ *App) {}),
		},
		"empty variables as none": {
			file: minimal,
			env:  []string{"INNGEST_DEV=", "GATEWAY_LIMITS__BODY=", "INNGEST_SIGNING_KEY=", "GATEWAY_APP_URL="},
			want: shop(func(c *Config, _ *App) {}),
		},
		"what Kubernetes says of a Service called gateway as none": {
			file: minimal,
			env: []string{"GATEWAY_PORT=tcp://10.0.0.1:80", "GATEWAY_SERVICE_HOST=10.0.0.1", "GATEWAY_SERVICE_PORT=80",
				"GATEWAY_PORT_80_TCP_ADDR=10.0.0.1", "GATEWAY_SERVICE_PORT_HTTP=80"},
			want: shop(func(c *Config, _ *App) {}),
		},
		"environments with names, each over the defaults": {
			file: "inngest: {prod: {signing_key: env:KEY, event_key: x, api_url: \"https://api.inngest.com/\"}}\n" + minimal[strings.Index(minimal, "apps"):] + "    inngest: prod",
			env:  []string{"GATEWAY_INNGEST__PROD__EVENT_KEY=y", "INNGEST_EVENT_KEY=unnamed"},
			want: shop(func(c *Config, a *App) {
				c.Inngest.Environment = Default().Inngest.Environment
				prod := c.Inngest.Environment
				prod.SigningKey, prod.EventKey = NewSecret(testKey), NewSecret("y")
				c.Inngest.EventKey, c.Inngest.Named = NewSecret("unnamed"), map[string]Environment{"prod": prod}
				a.Inngest = "prod"
			}),
		},
		"settings merged in YAML": {
			file: "inngest: {signing_key: env:KEY}\n" +
				"apps:\n- &first {id: shop, compress: false, upstream: {endpoints: [\"http://127.0.0.1:3000\"]}}\n" +
				"- {<<: *first, id: two, path: /two}\n",
			want: func() *Config {
				c := shop(func(_ *Config, a *App) { a.Compress = false })
				second := c.Apps[0]
				second.ID, second.Path, second.Upstream.Path = "two", "/two", "/two"
				c.Apps = append(c.Apps, second)
				return c
			}(),
		},
	} {
		t.Run(name, func(t *testing.T) {
			flags := pflag.NewFlagSet("gateway", pflag.ContinueOnError)
			AddFlags(flags)
			flags.String("state-dir", "", "")
			flags.Bool("verbose", false, "")
			if err := flags.Parse(append(c.flags, "--verbose")); err != nil {
				t.Fatal(err)
			}
			s := sources(c.file, append(c.env, "KEY="+testKey)...)
			s.Flags = flags
			if d := diff(c.want, mustLoad(t, s)); d != "" {
				t.Errorf("Load (-want +got):\n%s", d)
			}
		})
	}
}

func TestLoad_findsTheFile(t *testing.T) {
	for name, c := range map[string]struct {
		sources Sources
		want    string
	}{
		"that is named":            {Sources{File: "/named.yaml", Env: []string{"GATEWAY_CONFIG=/env.yaml"}}, "/named.yaml"},
		"of the variable":          {Sources{Env: []string{"GATEWAY_CONFIG=/env.yaml"}}, "/env.yaml"},
		"that is there by default": {Sources{}, DefaultFile},
	} {
		t.Run(name, func(t *testing.T) {
			c.sources.Env = append(c.sources.Env, "KEY="+testKey)
			c.sources.ReadFile = func(string) ([]byte, error) { return []byte(minimal), nil }
			if got := mustLoad(t, c.sources).File(); got != c.want {
				t.Errorf("File = %q, want %q", got, c.want)
			}
		})
	}
}

func TestLoad_readsSecretsWhereTheyAre(t *testing.T) {
	for name, c := range map[string]struct {
		text, want string
		env        []string
	}{
		"as they stand":               {text: testKey, want: testKey},
		"digits only, with zeros":     {text: "00123400", want: "00123400"},
		"what YAML takes for a float": {text: "1234e567", want: "1234e567"},
		"in a variable":               {text: "env:THE_KEY", want: testKey, env: []string{"THE_KEY=" + testKey + "\n"}},
		"in a file":                   {text: "file:/run/secrets/key", want: testKey},
		"in the file a variable says": {text: "env:OTHER", want: testKey, env: []string{"OTHER=x", "INNGEST_SIGNING_KEY=file:/run/secrets/key"}},
	} {
		t.Run(name, func(t *testing.T) {
			file := strings.Replace(minimal, "env:KEY", c.text, 1)
			if got := mustLoad(t, sources(file, c.env...)).Inngest.SigningKey.Reveal(); got != c.want {
				t.Errorf("signing key = %q, want %q", got, c.want)
			}
		})
	}
	t.Run("none for a fallback whose variable is not set", func(t *testing.T) {
		file := strings.Replace(minimal, "env:KEY", "env:KEY, signing_key_fallback: env:FALLBACK", 1)
		if got := mustLoad(t, sources(file, "KEY="+testKey)).Inngest.SigningKeyFallback; !got.IsZero() {
			t.Error("fallback is a key, want none")
		}
	})
}

func TestLoad_returnsProblems(t *testing.T) {
	_, err := Load(sources(""))
	var problems Problems
	if !errors.As(err, &problems) || len(problems) != 2 {
		t.Fatalf("Load = %v, want two problems: no key, no app", err)
	}
}
