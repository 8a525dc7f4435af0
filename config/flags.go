package config

import (
	"strings"

	"github.com/spf13/pflag"
)

// Names of the flags that [AddFlags] adds.
const (
	urlFlag = "app-url"
	setFlag = "set"
)

// AddFlags adds the flags that [Load] reads: --app-url, and --set, which reaches
// every setting by its path. Load also reads any other flag of the set whose
// name is the path of a setting, with hyphens for underscores. The file is the
// caller's to name, see [Sources].
func AddFlags(fs *pflag.FlagSet) {
	fs.String(urlFlag, "", "URL of the only app, such as http://127.0.0.1:3000/api/inngest ($"+urlVariable+")")
	fs.StringArray(setFlag, nil, "a setting as path=value, such as limits.memory=1GiB; repeatable")
}

// changed returns what the user gave a flag, empty if nothing.
func changed(fs *pflag.FlagSet, name string) string {
	if fs == nil || !fs.Changed(name) {
		return ""
	}
	return fs.Lookup(name).Value.String()
}

// flagLayer reads the flags that stand for settings.
func flagLayer(fs *pflag.FlagSet, p *problems) layer {
	l := newLayer()
	if fs == nil {
		return l
	}
	fs.Visit(func(f *pflag.Flag) {
		at := origin{source: "--" + f.Name}
		if f.Name == setFlag {
			if list, ok := f.Value.(pflag.SliceValue); ok {
				for _, one := range list.GetSlice() {
					assignment(l, one, at, p)
				}
			}
			return
		}
		keys := keysOf(strings.ReplaceAll(f.Name, "-", "_"))
		if to := setting(keys); to.found < len(keys) || !to.isSetting() {
			return // the command's own
		}
		text := f.Value.String()
		if list, ok := f.Value.(pflag.SliceValue); ok {
			text = strings.Join(list.GetSlice(), ",")
		}
		l.set(keys, text, at, p)
	})
	return l
}

// assignment reads path=value.
func assignment(l layer, text string, at origin, p *problems) {
	path, value, ok := strings.Cut(text, "=")
	keys := keysOf(path)
	switch to := setting(keys); {
	case !ok:
		p.addAt(at, "", quoted(path), "path=value")
	case to.found < len(keys):
		want := to.path
		if isGroup(to.typ) {
			want = known(to.typ, to.path, keys[to.found])
		}
		p.addAt(at, path, gotUnknown, want)
	case !to.isSetting():
		p.addAt(at, path, gotValue, "a value for one of its settings")
	default:
		l.set(keys, value, at, p)
	}
}
