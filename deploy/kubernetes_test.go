package deploy

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/config"
)

// The parts of the Kubernetes API that our manifests use, by their names there.
// A field that is not here is a mistake or needs a line here.
type (
	metadata struct {
		Name        string
		Labels      map[string]string
		Annotations map[string]string
	}
	deployment struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Metadata   metadata
		Spec       struct {
			Replicas int
			Selector struct {
				MatchLabels map[string]string `yaml:"matchLabels"`
			}
			Template struct {
				Metadata metadata
				Spec     podSpec
			}
		}
	}
	podSpec struct {
		TerminationGracePeriodSeconds int   `yaml:"terminationGracePeriodSeconds"`
		AutomountServiceAccountToken  *bool `yaml:"automountServiceAccountToken"`
		SecurityContext               struct {
			RunAsNonRoot   bool                  `yaml:"runAsNonRoot"`
			SeccompProfile struct{ Type string } `yaml:"seccompProfile"`
		} `yaml:"securityContext"`
		InitContainers []container `yaml:"initContainers"`
		Containers     []container
		Volumes        []struct {
			Name     string
			EmptyDir struct {
				SizeLimit string `yaml:"sizeLimit"`
			} `yaml:"emptyDir"`
		}
	}
	container struct {
		Name          string
		Image         string
		RestartPolicy string `yaml:"restartPolicy"`
		Args          []string
		Env           []variable
		Ports         []struct {
			Name          string
			ContainerPort int `yaml:"containerPort"`
		}
		StartupProbe   probe `yaml:"startupProbe"`
		LivenessProbe  probe `yaml:"livenessProbe"`
		ReadinessProbe probe `yaml:"readinessProbe"`
		Lifecycle      struct {
			PreStop struct{ Sleep struct{ Seconds int } } `yaml:"preStop"`
		}
		Resources       struct{ Requests, Limits map[string]string }
		SecurityContext struct {
			RunAsUser                int   `yaml:"runAsUser"`
			RunAsGroup               int   `yaml:"runAsGroup"`
			AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
			ReadOnlyRootFilesystem   bool  `yaml:"readOnlyRootFilesystem"`
			Capabilities             struct{ Drop []string }
		} `yaml:"securityContext"`
		VolumeMounts []struct {
			Name      string
			MountPath string `yaml:"mountPath"`
		} `yaml:"volumeMounts"`
	}
	variable struct {
		Name      string
		Value     string
		ValueFrom struct {
			SecretKeyRef struct {
				Name, Key string
				Optional  bool
			} `yaml:"secretKeyRef"`
		} `yaml:"valueFrom"`
	}
	probe struct {
		HTTPGet struct{ Path, Port string } `yaml:"httpGet"`

		PeriodSeconds    int `yaml:"periodSeconds"`
		TimeoutSeconds   int `yaml:"timeoutSeconds"`
		FailureThreshold int `yaml:"failureThreshold"`
	}
	service struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Metadata   metadata
		Spec       struct {
			Selector map[string]string
			Ports    []struct {
				Name       string
				Port       int
				TargetPort string `yaml:"targetPort"`
			}
		}
	}
)

// sidecar reads the manifest and returns its parts.
func sidecar(t *testing.T) (d deployment, s service, gateway, app container) {
	t.Helper()
	dec := open(t, "kubernetes/sidecar.yaml")
	decode(t, dec, &d)
	decode(t, dec, &s)
	pod := d.Spec.Template.Spec
	if len(pod.InitContainers) != 1 || len(pod.Containers) != 1 {
		t.Fatalf("%d init containers and %d containers, want one each", len(pod.InitContainers), len(pod.Containers))
	}
	return d, s, pod.InitContainers[0], pod.Containers[0]
}

// environment is what the container sees, with secrets of the right shape.
func (c container) environment() []string {
	secrets := map[string]string{"signing-key": signingKey, "event-key": eventKey}
	env := []string{"KUBERNETES_SERVICE_HOST=10.0.0.1"}
	for _, v := range c.Env {
		value := v.Value
		if ref := v.ValueFrom.SecretKeyRef; ref.Name != "" {
			value = secrets[ref.Key]
		}
		env = append(env, v.Name+"="+value)
	}
	return env
}

func TestKubernetes_sidecarListensWhereItIsAsked(t *testing.T) {
	_, s, gateway, app := sidecar(t)
	cfg := load(t, gateway.environment())
	ports := map[string]int{}
	for _, p := range gateway.Ports {
		ports[p.Name] = p.ContainerPort
	}
	if ports["inngest"] != port(t, cfg.Listen.Inngest) || ports["admin"] != port(t, cfg.Listen.Admin) {
		t.Errorf("container ports %v, the gateway listens at %+v", ports, cfg.Listen)
	}
	if strings.HasPrefix(cfg.Listen.Admin, "127.") || strings.HasPrefix(cfg.Listen.Admin, "localhost") {
		t.Errorf("the kubelet cannot ask %s", cfg.Listen.Admin)
	}
	for name, p := range map[string]struct {
		probe
		path string
	}{
		"startup":   {gateway.StartupProbe, "/livez"}, // readiness waits for the app, which waits for this
		"liveness":  {gateway.LivenessProbe, "/livez"},
		"readiness": {gateway.ReadinessProbe, "/readyz"},
	} {
		if p.HTTPGet.Path != p.path || p.HTTPGet.Port != "admin" {
			t.Errorf("%s probe = %+v, want %s at port admin", name, p.HTTPGet, p.path)
		}
	}
	if len(s.Spec.Ports) != 1 || s.Spec.Ports[0].TargetPort != "inngest" {
		t.Errorf("the service leads to %+v, want port inngest alone", s.Spec.Ports)
	}
	if got, want := app.environment(), "INNGEST_BASE_URL=http://"+cfg.Listen.Apps; !slices.Contains(got, want) {
		t.Errorf("the app's environment lacks %s", want)
	}
}

func TestKubernetes_sidecarStartsFirstAndEndsLast(t *testing.T) {
	d, _, gateway, app := sidecar(t)
	pod := d.Spec.Template.Spec
	if gateway.RestartPolicy != "Always" {
		t.Errorf("restartPolicy = %q: an init container without Always blocks the pod", gateway.RestartPolicy)
	}
	cfg := load(t, gateway.environment())
	if cfg.Drain.Delay == 0 {
		t.Error("no drain.delay in Kubernetes, where load balancers learn late")
	}
	drain := cfg.Drain.Delay + cfg.Drain.Calls + cfg.Drain.Apps + cfg.Drain.Events
	if grace := time.Duration(pod.TerminationGracePeriodSeconds) * time.Second; grace <= drain+time.Duration(app.Lifecycle.PreStop.Sleep.Seconds)*time.Second {
		t.Errorf("terminationGracePeriodSeconds = %v, app and gateway take %v", grace, drain)
	}
}

func TestKubernetes_sidecarHasNoPrivileges(t *testing.T) {
	d, _, gateway, app := sidecar(t)
	pod := d.Spec.Template.Spec
	if !pod.SecurityContext.RunAsNonRoot || pod.SecurityContext.SeccompProfile.Type != "RuntimeDefault" {
		t.Errorf("pod security context = %+v", pod.SecurityContext)
	}
	c := gateway.SecurityContext
	if c.RunAsUser != 65532 || c.RunAsGroup != 65532 || !c.ReadOnlyRootFilesystem {
		t.Errorf("gateway security context = %+v", c)
	}
	for _, c := range []container{gateway, app} {
		s := c.SecurityContext
		if s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || !slices.Contains(s.Capabilities.Drop, "ALL") {
			t.Errorf("%s: security context = %+v", c.Name, s)
		}
		for _, v := range c.Env {
			if strings.HasSuffix(v.Name, "_KEY") && (v.Value != "" || v.ValueFrom.SecretKeyRef.Name == "") {
				t.Errorf("%s: %s is written down instead of referred to", c.Name, v.Name)
			}
		}
	}
	if gateway.Resources.Limits["memory"] == "" || gateway.Resources.Requests["memory"] == "" {
		t.Error("limits.memory is a share of the container's memory limit, and there is none")
	}
	var volume config.Size
	text := pod.Volumes[0].EmptyDir.SizeLimit
	if err := volume.UnmarshalText([]byte(text)); err != nil {
		t.Errorf("sizeLimit = %q: %v", text, err)
	}
	if most := load(t, gateway.environment()).Events.Spool.MaxBytes; volume < most+most/2 {
		t.Errorf("the volume has %v, events.spool.max_bytes is %v: the pod is evicted before the spool is full", volume, most)
	}
	for _, m := range gateway.VolumeMounts {
		if m.MountPath != load(t, gateway.environment()).StateDir {
			t.Errorf("volume at %s, the gateway keeps its state elsewhere", m.MountPath)
		}
	}
}

func TestKubernetes_selectorsFindThePods(t *testing.T) {
	d, s, _, _ := sidecar(t)
	for k, v := range d.Spec.Selector.MatchLabels {
		if d.Spec.Template.Metadata.Labels[k] != v {
			t.Errorf("the deployment selects %s=%s, its pods have %v", k, v, d.Spec.Template.Metadata.Labels)
		}
	}
	for k, v := range s.Spec.Selector {
		if d.Spec.Template.Metadata.Labels[k] != v {
			t.Errorf("the service selects %s=%s, the pods have %v", k, v, d.Spec.Template.Metadata.Labels)
		}
	}
	if s.Metadata.Name == "gateway" {
		t.Error("a service called gateway injects variables called GATEWAY_…")
	}
}
