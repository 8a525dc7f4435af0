// Package deploy checks the files that deploy the gateway. Nothing is deployed:
// they are read strictly and compared with what the gateway does.
package deploy

import (
	"bytes"
	"errors"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/inngest-gateway/inngest-gateway/config"
)

const (
	signingKey = "signkey-prod-1234567890abcdef1234567890abcdef"
	eventKey   = "abcdef1234567890"
)

// decode reads one YAML document into v; a field that v lacks is an error.
func decode(t *testing.T, dec *yaml.Decoder, v any) {
	t.Helper()
	dec.KnownFields(true)
	if err := dec.Decode(v); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, path string) *yaml.Decoder {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return yaml.NewDecoder(bytes.NewReader(text))
}

// load makes the gateway's configuration of variables, as the gateway would.
func load(t *testing.T, env []string) *config.Config {
	t.Helper()
	cfg, err := config.Load(config.Sources{Env: env})
	if err != nil {
		t.Fatalf("the gateway refuses %q: %v", env, err)
	}
	return cfg
}

func port(t *testing.T, address string) int {
	t.Helper()
	n, err := strconv.Atoi(address[strings.LastIndexByte(address, ':')+1:])
	if err != nil {
		t.Fatalf("no port in %q", address)
	}
	return n
}

// The parts of compose files that ours uses.
type composeService struct {
	Build struct {
		Context          string
		DockerfileInline string `yaml:"dockerfile_inline"`
	}
	Image           string
	Environment     map[string]string
	Ports           []string
	Volumes         []string
	ReadOnly        bool     `yaml:"read_only"`
	CapDrop         []string `yaml:"cap_drop"`
	SecurityOpt     []string `yaml:"security_opt"`
	StopGracePeriod string   `yaml:"stop_grace_period"`
	Restart         string
	NetworkMode     string   `yaml:"network_mode"`
	DependsOn       []string `yaml:"depends_on"`
}

type composeFile struct {
	Services map[string]composeService
	Volumes  map[string]any
}

// expand fills in ${NAME:-default} and ${NAME:?message}.
func expand(value string, env map[string]string) string {
	return regexp.MustCompile(`\$\{([A-Z_]+)(:[-?])([^}]*)\}`).ReplaceAllStringFunc(value, func(s string) string {
		m := regexp.MustCompile(`\$\{([A-Z_]+)(:[-?])([^}]*)\}`).FindStringSubmatch(s)
		if v := env[m[1]]; v != "" || m[2] == ":?" {
			return v
		}
		return m[3]
	})
}

func TestCompose_isWhatTheGatewayTakes(t *testing.T) {
	var file composeFile
	decode(t, open(t, "compose.yaml"), &file)
	gateway, app := file.Services["gateway"], file.Services["app"]

	for name, given := range map[string]map[string]string{
		"cloud":       {"INNGEST_SIGNING_KEY": signingKey, "INNGEST_EVENT_KEY": eventKey},
		"self-hosted": {"INNGEST_SIGNING_KEY": signingKey, "INNGEST_BASE_URL": "http://inngest:8288"},
	} {
		t.Run(name, func(t *testing.T) {
			var env []string
			for k, v := range gateway.Environment {
				env = append(env, k+"="+expand(v, given))
			}
			cfg := load(t, env)
			if !slices.Contains(gateway.Ports, "8480:"+strconv.Itoa(port(t, cfg.Listen.Inngest))) {
				t.Errorf("published ports %q lack the gateway's %s", gateway.Ports, cfg.Listen.Inngest)
			}
			if got, want := app.Environment["INNGEST_BASE_URL"], "http://"+cfg.Listen.Apps; got != want {
				t.Errorf("the app's INNGEST_BASE_URL = %s, the gateway listens at %s", got, want)
			}
			if got, want := cfg.Apps[0].Upstream.Endpoints[0], "http://127.0.0.1:"+app.Environment["PORT"]; got != want {
				t.Errorf("the gateway calls %s, the app serves %s", got, want)
			}
			if !slices.Contains(gateway.Volumes, "state:"+cfg.StateDir) {
				t.Errorf("no volume at %s: %q", cfg.StateDir, gateway.Volumes)
			}
			grace, err := time.ParseDuration(gateway.StopGracePeriod)
			if drain := cfg.Drain.Delay + cfg.Drain.Calls + cfg.Drain.Apps + cfg.Drain.Events; err != nil || grace <= drain {
				t.Errorf("stop_grace_period = %s, a drain takes %v", gateway.StopGracePeriod, drain)
			}
		})
	}
	if app.NetworkMode != "service:gateway" || len(app.Ports) > 0 {
		t.Error("the app must be reached through the gateway only")
	}
	if !gateway.ReadOnly || !slices.Contains(gateway.CapDrop, "ALL") {
		t.Error("the gateway needs neither a writable root nor capabilities")
	}
}

func TestDockerfile_makesASmallImageWithoutRoot(t *testing.T) {
	text, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	_, final, ok := strings.Cut(string(text), "\nFROM scratch\n")
	if !ok {
		t.Fatal("the image is not made from scratch")
	}
	cfg := config.Default()
	for why, want := range map[string]string{
		"runs as nobody":            "USER 65532:65532",
		"TLS to Inngest":            "/etc/ssl/certs/ca-certificates.crt",
		"the port that is for all":  "EXPOSE " + strconv.Itoa(port(t, cfg.Listen.Inngest)),
		"health, without a shell":   `CMD ["/gateway", "health"]`,
		"signals reach the process": `ENTRYPOINT ["/gateway"]`,
		"runs the gateway":          `CMD ["run"]`,
	} {
		if !strings.Contains(final, want) {
			t.Errorf("%s: the Dockerfile lacks %s", why, want)
		}
	}
	for _, want := range []string{"CGO_ENABLED=0", "-trimpath", "-X main.version=$VERSION"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the Dockerfile lacks %s", want)
		}
	}
	if strings.Contains(string(text), ":latest") {
		t.Error("a base image has no version")
	}
}

func TestKubernetes_holdsNothingButTheTwoObjects(t *testing.T) {
	dec := open(t, "kubernetes/sidecar.yaml")
	decode(t, dec, &deployment{})
	decode(t, dec, &service{})
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		t.Errorf("a third document: %v", err)
	}
}
