package rules

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/inngest-gateway/inngest-gateway/config"
)

// keys are what a reader of the README would have in the environment.
var keys = []string{
	"INNGEST_SIGNING_KEY=signkey-prod-1234567890abcdef1234567890abcdef",
	"INNGEST_EVENT_KEY=abcdef1234567890",
	"MAIL_SIGNING_KEY=signkey-prod-feedfacefeedfacefeedfacefeedface",
	"MAIL_EVENT_KEY=fedcba0987654321",
}

// blocks returns the code blocks of a language in the README.
func blocks(t *testing.T, language string) []string {
	t.Helper()
	var found []string
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(read(t, "README.md"), -1) {
		found = append(found, m[1])
	}
	if len(found) == 0 {
		t.Fatalf("README.md has no %s block", language)
	}
	return found
}

func TestReadme_configurationIsTaken(t *testing.T) {
	for _, text := range blocks(t, "yaml") {
		path := filepath.Join(t.TempDir(), "gateway.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := config.Load(config.Sources{File: path, Env: keys}); err != nil {
			t.Errorf("the gateway refuses the README's configuration: %v\n%s", err, text)
		}
	}
}

func TestReadme_variablesAreTaken(t *testing.T) {
	env := append([]string(nil), keys...)
	for _, text := range blocks(t, "sh") {
		for _, m := range regexp.MustCompile(`(?m)^export ([A-Z_]+)=(\S+)`).FindAllStringSubmatch(text, -1) {
			if !strings.Contains(m[2], "…") {
				env = append(env, m[1]+"="+m[2])
			}
		}
	}
	cfg, err := config.Load(config.Sources{Env: env})
	if err != nil {
		t.Fatalf("the gateway refuses the README's variables: %v", err)
	}
	if !strings.Contains(read(t, "README.md"), "INNGEST_BASE_URL=http://"+cfg.Listen.Apps) {
		t.Errorf("the README sends apps elsewhere than to %s", cfg.Listen.Apps)
	}
}
