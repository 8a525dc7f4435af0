package config

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"reflect"
	"strings"

	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

// DefaultFile is read if it exists and no other file is named.
const DefaultFile = "/etc/inngest-gateway/config.yaml"

// Sources is where a configuration comes from.
type Sources struct {
	File     string                       // --config; else GATEWAY_CONFIG, else DefaultFile if it exists
	Env      []string                     // the environment as os.Environ gives it
	Flags    *pflag.FlagSet               // parsed; may be nil. See [AddFlags]
	ReadFile func(string) ([]byte, error) // os.ReadFile if nil
}

// Load reads, completes and checks a configuration. The error is a [Problems].
func Load(s Sources) (*Config, error) {
	if s.ReadFile == nil {
		s.ReadFile = os.ReadFile
	}
	p := &problems{origins: map[string]origin{}}
	env := environment(s.Env)
	file := s.read(env, p)
	k := koanf.New(delimiter)
	for _, l := range []layer{file.layer} {
		if err := k.Load(l, nil); err != nil {
			return nil, err
		}
		maps.Copy(p.origins, l.origins)
	}
	cfg := Default()
	cfg.file = file.path
	d := decoder{secretReader{env.lookup, s.ReadFile}, p}
	d.decode(reflect.ValueOf(&cfg).Elem(), k.Raw(), "", false)
	if err := p.err(); err != nil {
		return nil, err
	}
	return &cfg, nil
}

// Validate checks a configuration that was made in code. It reads nothing.
func (c *Config) Validate() error {
	p := &problems{}
	return p.err()
}

// delimiter stands between levels inside koanf. No key can contain it.
const delimiter = "\x00"

type source struct {
	path string
	layer
}

// A layer is what one source says. It is a koanf.Provider.
type layer struct {
	tree    map[string]any
	origins map[string]origin
}

func (l layer) Read() (map[string]any, error) { return l.tree, nil }

func (l layer) ReadBytes() ([]byte, error) { return nil, errors.ErrUnsupported }

type environment []string

func (e environment) lookup(name string) (string, bool) {
	for i := len(e) - 1; i >= 0; i-- {
		if value, ok := strings.CutPrefix(e[i], name+"="); ok {
			return value, true
		}
	}
	return "", false
}

func (s Sources) read(env environment, p *problems) source {
	path := s.File
	if path == "" {
		path, _ = env.lookup("GATEWAY_CONFIG")
	}
	optional := path == ""
	if optional {
		path = DefaultFile
	}
	text, err := s.ReadFile(path)
	if optional && errors.Is(err, fs.ErrNotExist) {
		return source{}
	}
	if err != nil {
		p.addAt(origin{}, "", err.Error(), "a file that can be read")
		return source{}
	}
	return source{path, readYAML(path, text, p)}
}
