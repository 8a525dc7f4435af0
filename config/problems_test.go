package config

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

// problemsOf loads what must not load, and returns a line for each problem.
func problemsOf(t *testing.T, s Sources) []string {
	t.Helper()
	cfg, err := Load(s)
	var problems Problems
	if !errors.As(err, &problems) {
		t.Fatalf("Load = %v, %v, want problems", cfg, err)
	}
	if strings.Contains(err.Error(), "1234567890abcdef") {
		t.Errorf("a key is shown: %v", err)
	}
	return strings.Split(err.Error(), "\n")
}

// Whatever is wrong, all of it is told at once, at its line.
func TestLoad_tellsEveryProblemOfAFileAtItsLine(t *testing.T) {
	got := problemsOf(t, sources(`inngest:
  signing_kye: `+testKey+`
  event_key: env:NOT_SET
  api_url: "ftp://user:hunter2@host"
limits:
  memory: 110%
  body: 8
  connections: many
  memory: 1GiB
lsten: {}
signing_key: x
apps:
  - id: shop
    path: api/inngest
    checkpointing: maybe
    upstream:
      endpoints: ["http://127.0.0.1:3000/api", "127.0.0.1:3000"]
      dial_timeout: 2
      breaker: 5
  - id: shop
    signing: none
log: {level: loud, sample: -1}
trusted_proxies: 10.0.0.0/8
`))
	want := []string{
		`gw.yaml:1: inngest.signing_key is not set, want the key of your Inngest environment (INNGEST_SIGNING_KEY, or inngest.signing_key); to go without verification, in development only: INNGEST_DEV=1, or insecure_skip_verify: true`,
		`gw.yaml:2: inngest.signing_kye is not a setting, want inngest.signing_key`,
		`gw.yaml:3: inngest.event_key is "env:NOT_SET", want a variable that is set`,
		`gw.yaml:4: inngest.api_url is "ftp://***@host", want an http or https URL without query, user or fragment`,
		`gw.yaml:6: limits.memory is "110%", want a percentage from 1% to 100%, or a size such as 512MiB`,
		`gw.yaml:7: limits.body is "8", want from 1KiB to 1GiB`,
		`gw.yaml:8: limits.connections is "many", want a whole number`,
		`gw.yaml:9: limits.memory is set twice, want it once: here or at line 6`,
		`gw.yaml:10: lsten is not a setting, want listen`,
		`gw.yaml:11: signing_key is not a setting, want inngest.signing_key, apps[].local.signing_key or function_apps[].backends.signing_key`,
		`gw.yaml:14: apps[0].path is "api/inngest", want a path that starts with "/", without query, "..", "//" or a "/" at its end`,
		`gw.yaml:15: apps[0].checkpointing is "maybe", want true or false`,
		`gw.yaml:17: apps[0].upstream.endpoints[0] is "http://127.0.0.1:3000/api", want http://host:port, https://host:port, dns+http://host:port or unix:///path, without a path of the app (that is upstream.path)`,
		`gw.yaml:17: apps[0].upstream.endpoints[1] is "127.0.0.1:3000", want http://host:port, https://host:port, dns+http://host:port or unix:///path, without a path of the app (that is upstream.path)`,
		`gw.yaml:18: apps[0].upstream.dial_timeout is "2", want a duration with its unit, such as 30s or 1h30m`,
		`gw.yaml:19: apps[0].upstream.breaker is a single value, want a group of settings: consecutive_failures, failure_ratio, min_calls, window, open_for or probes`,
		`gw.yaml:20: apps[1].id is "shop", want another value than apps[0].id`,
		`gw.yaml:20: apps[1].upstream.endpoints is not set, want at least one: http://host:port, https://host:port, dns+http://host:port or unix:///path, without a path of the app (that is upstream.path)`,
		`gw.yaml:21: apps[1].signing is "none", want passthrough, resign or strip`,
		`gw.yaml:22: log.level is "loud", want debug, info, warn or error`,
		`gw.yaml:22: log.sample is "-1", want from 1 to 1000000`,
		`gw.yaml:23: trusted_proxies is a single value, want a list`,
	}
	slices.SortFunc(got, byLine)
	slices.SortFunc(want, byLine)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("problems (-want +got):\n%s", d)
	}
}

// byLine orders lines of one number by their text.
func byLine(a, b string) int {
	at := func(line string) string {
		_, rest, _ := strings.Cut(line, ":")
		number, _, _ := strings.Cut(rest, ":")
		return strings.Repeat(" ", 4-len(number)) + number + line
	}
	return strings.Compare(at(a), at(b))
}

func TestLoad_tellsProblems(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		env  []string
		set  []string
		want []string
	}{
		"a variable that is near one": {
			file: minimal, env: []string{"GATEWAY_LIMITS__MEMROY=1GiB"},
			want: []string{"GATEWAY_LIMITS__MEMROY: no setting's variable, want GATEWAY_LIMITS__MEMORY"},
		},
		"a variable with an index that is none": {
			file: minimal, env: []string{"GATEWAY_APPS__SHOP__PATH=/x"},
			want: []string{"GATEWAY_APPS__SHOP__PATH: no setting's variable, want GATEWAY_APPS__0 or another index"},
		},
		"a variable below a setting": {
			file: minimal, env: []string{"GATEWAY_STATE_DIR__X=1"},
			want: []string{"GATEWAY_STATE_DIR__X: no setting's variable, want GATEWAY_STATE_DIR"},
		},
		"a variable of a group": {
			file: minimal, env: []string{"GATEWAY_LIMITS=1"},
			want: []string{"GATEWAY_LIMITS: limits is a single value, want variables of its settings, GATEWAY_LIMITS__…"},
		},
		"a variable with a bad value": {
			file: minimal + "limits: {body: 1MiB}", env: []string{"GATEWAY_LIMITS__BODY=large"},
			want: []string{`GATEWAY_LIMITS__BODY: limits.body is "large", want a size with its unit, such as 8MiB or 64KiB`},
		},
		"a variable beyond the list": {
			file: minimal, env: []string{"GATEWAY_APPS__2__PATH=/x"},
			want: []string{"GATEWAY_APPS__2__PATH: apps[2] is beyond the end of the list, want index 1 next"},
		},
		"a list and its element in variables": {
			file: minimal, env: []string{"GATEWAY_TRUSTED_PROXIES=10.0.0.0/8", "GATEWAY_TRUSTED_PROXIES__0=::1"},
			want: []string{"GATEWAY_TRUSTED_PROXIES__0: trusted_proxies[0] is set here and with the whole list, want one of the two"},
		},
		"a variable of an environment that is near a setting's": {
			file: minimal, env: []string{"GATEWAY_INNGEST__SIGNING_KYE=" + testKey, "GATEWAY_INNGEST__PROD__EVNT_KEY=x"},
			want: []string{
				"GATEWAY_INNGEST__PROD__EVNT_KEY: no setting's variable, want GATEWAY_INNGEST__PROD__EVENT_KEY",
				"GATEWAY_INNGEST__SIGNING_KYE: no setting's variable, want GATEWAY_INNGEST__SIGNING_KEY",
			},
		},
		"a flag that is near one": {
			file: minimal, set: []string{"limits.memroy=1GiB", "limits=1", "state_dir"},
			want: []string{
				"--set: limits.memroy is not a setting, want limits.memory",
				"--set: limits is a single value, want a value for one of its settings",
				`--set: "state_dir", want path=value`,
			},
		},
		"no development server": {
			file: minimal, env: []string{"INNGEST_DEV=localhost"},
			want: []string{`INNGEST_DEV: insecure_skip_verify is "localhost", want 1, 0, or the URL of a development server`},
		},
		"an app's URL beside several apps": {
			file: minimal + "  - {id: two, path: /two, upstream: {endpoints: [unix:///two.sock]}}", env: []string{"GATEWAY_APP_URL=http://x"},
			want: []string{"GATEWAY_APP_URL: set beside several apps, want it unset, or a single app"},
		},
		"an app's URL with a query": {
			file: minimal, env: []string{"GATEWAY_APP_URL=http://x/?probe=trust"},
			want: []string{`GATEWAY_APP_URL: "http://x/?***", want ` + wantAppURL},
		},
		"an app's URL that is no endpoint": {
			file: minimal, env: []string{"GATEWAY_APP_URL=localhost:3000/y"},
			want: []string{`GATEWAY_APP_URL: "localhost:3000/y", want ` + wantAppURL},
		},
		"YAML with a wrong bracket": {
			file: "apps: []\nlimits: body: 1MiB\n", env: []string{"GATEWAY_LIMITS__MEMROY=1GiB"},
			want: []string{
				"GATEWAY_LIMITS__MEMROY: no setting's variable, want GATEWAY_LIMITS__MEMORY",
				"gw.yaml:2: mapping values are not allowed in this context, want well-formed YAML",
			},
		},
		"YAML that is a list":   {file: "- apps\n", want: []string{"gw.yaml:1: a list, want settings, such as apps:"}},
		"two documents":         {file: minimal + "---\napps: []\n", want: []string{"gw.yaml:6: a second document, want one document"}},
		"an alias of itself":    {file: minimal + "trusted_proxies: &a [*a]\n", want: []string{"gw.yaml:6: trusted_proxies[0] is an alias of what it stands in, want an anchor that ends before"}},
		"an element left empty": {file: minimal + "trusted_proxies: [~]\n", want: []string{"gw.yaml:6: trusted_proxies[0] is not set, want a network, such as 10.0.0.0/8, or an address"}},
		"a key that is a group": {file: minimal + "? {a: b}\n: c\n", want: []string{"gw.yaml:6: a group with a key that is no text, want names of settings as keys"}},
		"a key in a group of its own": {
			file: "inngest: " + testKey + "\n",
			want: []string{
				"apps is not set, want at least one app: GATEWAY_APP_URL, or apps or functions in a file",
				"gw.yaml:1: inngest is a single value, want a group of settings: signing_key, signing_key_fallback, signing_keys, event_key, event_keys, api_url, event_url, env or signature_tolerance",
			},
		},
		"a key in place of a number": {
			file: minimal + "limits: {connections: " + testKey + "}",
			want: []string{"gw.yaml:6: limits.connections is ***, want a whole number"},
		},
		"a secret's file that is not there": {
			file: minimal + "admin: {token: file:/nowhere}",
			want: []string{`gw.yaml:6: admin.token is "file:/nowhere", want a file that can be read: open /nowhere: file does not exist`},
		},
		"a secret's file that is empty": {
			file: minimal + "admin: {token: file:/run/secrets/empty}",
			want: []string{`gw.yaml:6: admin.token is "file:/run/secrets/empty", want a file that is not empty`},
		},
		"environments that do not fit": {
			file: "inngest:\n  prod: {api_ulr: x}\n  \"the rest\": {}\n  event_kye: x\n" +
				"apps:\n- {inngest: staging, upstream: {endpoints: [\"http://a\"]}}\n",
			want: []string{
				"gw.yaml:2: inngest.prod.api_ulr is not a setting, want inngest.prod.api_url",
				"gw.yaml:2: inngest.prod.signing_key is not set, want the key of that environment; " + wantDev,
				"gw.yaml:3: inngest.the rest is a name, want a name of lower-case letters, digits, _ and -",
				"gw.yaml:4: inngest.event_kye is not a setting, want inngest.event_key",
				`gw.yaml:6: apps[0].inngest is "staging", want prod or the rest`,
			},
		},
		"a key that is not hex": {
			file: "inngest: {signing_key: signkey-prod-secret}\n" + minimal[strings.Index(minimal, "apps"):],
			want: []string{"gw.yaml:1: inngest.signing_key is ***, want " + wantKey},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := sources(c.file, append(c.env, "KEY="+testKey)...)
			s.Flags = pflag.NewFlagSet("gateway", pflag.ContinueOnError)
			AddFlags(s.Flags)
			for _, one := range c.set {
				if err := s.Flags.Set("set", one); err != nil {
					t.Fatal(err)
				}
			}
			if d := cmp.Diff(c.want, problemsOf(t, s)); d != "" {
				t.Errorf("problems (-want +got):\n%s", d)
			}
		})
	}
}

func TestLoad_tellsWhyAFileCannotBeRead(t *testing.T) {
	for name, c := range map[string]struct {
		sources Sources
		want    string
	}{
		"named by the caller":  {Sources{File: "/none"}, "open /none: file does not exist, want a file that can be read"},
		"named in a variable":  {Sources{Env: []string{"GATEWAY_CONFIG=/none"}}, "GATEWAY_CONFIG: open /none: file does not exist, want a file that can be read"},
		"the default, by name": {Sources{File: DefaultFile}, "open " + DefaultFile + ": file does not exist, want a file that can be read"},
	} {
		t.Run(name, func(t *testing.T) {
			c.sources.ReadFile = sources("").ReadFile
			if d := cmp.Diff([]string{c.want}, problemsOf(t, c.sources)); d != "" {
				t.Errorf("problems (-want +got):\n%s", d)
			}
		})
	}
}

func TestLoad_boundsYAML(t *testing.T) {
	aliases := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range byte(9) {
		last, next := string('0'+i), string('1'+i)
		aliases += "a" + next + ": &a" + next + " [" + strings.Repeat("*a"+last+", ", 9) + "*a" + last + "]\n"
	}
	for name, c := range map[string]struct{ file, want string }{
		"whose aliases multiply": {aliases, "gw.yaml: too much YAML once its aliases are followed, want a plainer file"},
		"of brackets alone":      {"apps: " + strings.Repeat("[", 9000) + strings.Repeat("]", 9000), "gw.yaml: YAML nested too deeply, want a plainer file"},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff([]string{c.want}, problemsOf(t, sources(c.file))); d != "" {
				t.Errorf("problems (-want +got):\n%s", d)
			}
		})
	}
}
