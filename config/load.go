package config

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"reflect"

	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

// DefaultFile is read if it exists and no other file is named.
const DefaultFile = "/etc/inngest-gateway/config.yaml"

// delimiter stands between the levels of a path inside koanf. Names that users
// choose may contain a dot.
const delimiter = "\x00"

// Sources is where a configuration comes from.
type Sources struct {
	File     string                            // the file to read; empty: GATEWAY_CONFIG, else DefaultFile if it exists
	Env      []string                          // the environment as os.Environ gives it
	Flags    *pflag.FlagSet                    // parsed; may be nil, see [AddFlags]
	ReadFile func(path string) ([]byte, error) // os.ReadFile if nil; for the file and for file: references
}

// Load reads, completes and checks a configuration. Its error is a [Problems]
// with everything that is wrong.
func Load(s Sources) (*Config, error) {
	if s.ReadFile == nil {
		s.ReadFile = os.ReadFile
	}
	l := loader{Sources: s, env: s.Env, k: koanf.New(delimiter), problems: &problems{origins: map[string]origin{}}}
	l.layers()
	if l.broken { // what follows from a missing file is not worth telling
		return nil, l.problems.err()
	}
	cfg := Default()
	cfg.file = l.path
	d := decoder{secrets: secretReader{l.env.lookup, s.ReadFile}, problems: l.problems}
	d.decode(reflect.ValueOf(&cfg).Elem(), l.k.Raw(), "", false)
	cfg.complete()
	cfg.readFunctions(d.functions, d.secrets, l.problems)
	cfg.readSchemas(s.ReadFile, l.problems)
	cfg.validate(l.problems)
	if err := l.problems.err(); err != nil {
		return nil, err
	}
	return &cfg, nil
}

// A loader lays the sources over each other.
type loader struct {
	Sources
	env      environment
	path     string // of the file that was read
	broken   bool   // the file could not be read
	k        *koanf.Koanf
	problems *problems
}

// layers reads the sources, those with precedence last.
func (l *loader) layers() {
	p := l.problems
	url, at := changed(l.Flags, urlFlag), origin{source: "--" + urlFlag}
	if url == "" {
		url, at = l.env.get(urlVariable), origin{source: urlVariable}
	}
	standard, fill := l.env.standard(p)
	app, fillApp := appURL(url, at, p)

	for _, one := range []layer{l.file(), standard, app, l.env.variables(p), flagLayer(l.Flags, p)} {
		maps.Copy(p.origins, one.origins)
		l.load(one, func(src, dest map[string]any) { p.over(dest, src, "") })
	}
	for _, one := range []layer{fill, fillApp} {
		l.load(one, func(src, dest map[string]any) { p.under(dest, src, "", one.origins) })
	}
	if apps, ok := l.k.Get("apps").([]any); ok && len(apps) > 1 && url != "" {
		p.addAt(at, "", "set beside several apps", "it unset, or a single app")
	}
}

// load lays one layer on what there is.
func (l *loader) load(one layer, merge func(src, dest map[string]any)) {
	err := l.k.Load(one, nil, koanf.WithMergeFunc(func(src, dest map[string]any) error {
		merge(src, dest)
		return nil
	}))
	if err != nil {
		panic("config: koanf: " + err.Error()) // a layer and a merge that cannot fail
	}
}

// file reads the file, if there is one.
func (l *loader) file() layer {
	path, named := l.File, origin{}
	if path == "" {
		path, named = l.env.get(fileVariable), origin{source: fileVariable}
	}
	if path == "" {
		path, named = DefaultFile, origin{}
	}
	text, err := l.ReadFile(path)
	switch {
	case err == nil:
		l.path = path
		read, ok := readYAML(path, text, l.problems)
		l.broken = !ok
		return read
	case errors.Is(err, fs.ErrNotExist) && path == DefaultFile && l.File == "" && named.source == "":
	default:
		l.broken = true
		l.problems.addAt(named, "", err.Error(), "a file that can be read")
	}
	return newLayer()
}
