package signature

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

const otherKey = "signkey-test-fedcba0987654321fedcba0987654321"

var at = time.Unix(1795541406, 0)

func TestCheckHeader_takesOneSpellingAlone(t *testing.T) {
	const s = "654932a0f9bb5f8be12fba32bfdf9b63cf9ba4614ce37cd34cab55c802e70cf4"
	v := verifierAt(t, at, mustKey(t, recorded.SigningKey))
	for name, c := range map[string]struct {
		header string
		want   Reason
	}{
		"as the server writes it":     {"t=1795541406&s=" + s, ""},
		"nothing":                     {"", ReasonMissing},
		"a space":                     {" ", ReasonMalformed},
		"order swapped":               {"s=" + s + "&t=1795541406", ReasonMalformed},
		"time alone":                  {"t=1795541406", ReasonMalformed},
		"signature alone":             {"s=" + s, ReasonMalformed},
		"repeated t":                  {"t=1795541406&t=1795541406&s=" + s, ReasonMalformed},
		"repeated s":                  {"t=1795541406&s=" + s + "&s=" + s, ReasonMalformed},
		"repeated t at the end":       {"t=1795541406&s=" + s + "&t=1795541406", ReasonMalformed},
		"further parameter":           {"t=1795541406&s=" + s + "&v=1", ReasonMalformed},
		"parameter in between":        {"t=1795541406&v=1&s=" + s, ReasonMalformed},
		"separator at the end":        {"t=1795541406&s=" + s + "&", ReasonMalformed},
		"separator twice":             {"t=1795541406&&s=" + s, ReasonMalformed},
		"comma as separator":          {"t=1795541406,s=" + s, ReasonMalformed},
		"two headers joined":          {"t=1795541406&s=" + s + ", t=1795541406&s=" + s, ReasonMalformed},
		"names in capitals":           {"T=1795541406&S=" + s, ReasonMalformed},
		"space before":                {" t=1795541406&s=" + s, ReasonMalformed},
		"space after":                 {"t=1795541406&s=" + s + " ", ReasonMalformed},
		"line feed after":             {"t=1795541406&s=" + s + "\n", ReasonMalformed},
		"space before the time":       {"t= 1795541406&s=" + s, ReasonMalformed},
		"space after the time":        {"t=1795541406 &s=" + s, ReasonMalformed},
		"no digits":                   {"t=&s=" + s, ReasonMalformed},
		"plus sign":                   {"t=+1795541406&s=" + s, ReasonMalformed},
		"minus sign":                  {"t=-1795541406&s=" + s, ReasonMalformed},
		"leading zero":                {"t=01795541406&s=" + s, ReasonMalformed},
		"fraction":                    {"t=1795541406.0&s=" + s, ReasonMalformed},
		"exponent":                    {"t=1e9&s=" + s, ReasonMalformed},
		"underscore":                  {"t=1_795_541_406&s=" + s, ReasonMalformed},
		"hex time":                    {"t=0x6b059a1e&s=" + s, ReasonMalformed},
		"Arabic digits":               {"t=١٧٩٥٥٤١٤٠٦&s=" + s, ReasonMalformed},
		"milliseconds":                {"t=1795541406000&s=" + s, ReasonExpired},
		"largest int64":               {"t=9223372036854775807&s=" + s, ReasonExpired},
		"one more than int64":         {"t=9223372036854775808&s=" + s, ReasonMalformed},
		"one more than uint64":        {"t=18446744073709551616&s=" + s, ReasonMalformed},
		"wraps to now in 64 bits":     {"t=18446744075505093022&s=" + s, ReasonMalformed},
		"a thousand digits":           {"t=" + strings.Repeat("9", 1000) + "&s=" + s, ReasonMalformed},
		"the epoch":                   {"t=0&s=" + s, ReasonExpired},
		"no signature":                {"t=1795541406&s=", ReasonMalformed},
		"signature too short":         {"t=1795541406&s=" + s[1:], ReasonMalformed},
		"signature too long":          {"t=1795541406&s=" + s + "0", ReasonMalformed},
		"upper-case hex":              {"t=1795541406&s=" + strings.ToUpper(s), ReasonMalformed},
		"one upper-case digit":        {"t=1795541406&s=" + strings.Replace(s, "a", "A", 1), ReasonMalformed},
		"no hex":                      {"t=1795541406&s=" + s[:63] + "g", ReasonMalformed},
		"NUL in the signature":        {"t=1795541406&s=" + s[:63] + "\x00", ReasonMalformed},
		"base64 of the right length":  {"t=1795541406&s=" + strings.Repeat("+/", 32), ReasonMalformed},
		"percent-encoded":             {"t%3D1795541406&s=" + s, ReasonMalformed},
		"quoted":                      {`"t=1795541406&s=` + s + `"`, ReasonMalformed},
		"a later s= with a good one":  {"t=1795541406&s=&s=" + s, ReasonMalformed},
		"time hidden in the first s=": {"t=1795541406&s=1&s=" + s, ReasonMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			if got := reason(t, v.CheckHeader([]byte(c.header))); got != c.want {
				t.Errorf("CheckHeader(%q): reason %q, want %q", c.header, got, c.want)
			}
			wantVerify := c.want
			if wantVerify == "" {
				wantVerify = ReasonMismatch // the body is another one
			}
			if got := reason(t, v.Verify([]byte(c.header), []byte("{}"))); got != wantVerify {
				t.Errorf("Verify(%q): reason %q, want %q", c.header, got, wantVerify)
			}
		})
	}
}

func TestVerify_holdsToleranceInBothDirections(t *testing.T) {
	key := mustKey(t, recorded.SigningKey)
	body := []byte(`{}`)
	header := []byte(Sign(key, body, at))
	for name, c := range map[string]struct {
		now  time.Time
		want Reason
		age  time.Duration
	}{
		"at the same time":             {at, "", 0},
		"signed 5m ago":                {at.Add(5 * time.Minute), "", 0},
		"signed 5m and 1ns ago":        {at.Add(5*time.Minute + 1), ReasonExpired, 5*time.Minute + 1},
		"signed 5m1s ago":              {at.Add(5*time.Minute + time.Second), ReasonExpired, 5*time.Minute + time.Second},
		"signed 5m ahead of ours":      {at.Add(-5 * time.Minute), "", 0},
		"signed 5m1s ahead of ours":    {at.Add(-5*time.Minute - time.Second), ReasonExpired, -5*time.Minute - time.Second},
		"our clock stands at 1970":     {time.Unix(0, 0), ReasonExpired, time.Unix(0, 0).Sub(at)},
		"our clock has no time at all": {time.Time{}, ReasonExpired, math.MinInt64},
	} {
		t.Run(name, func(t *testing.T) {
			err := verifierAt(t, c.now, key).Verify(header, body)
			if got := reason(t, err); got != c.want {
				t.Fatalf("Verify: reason %q, want %q", got, c.want)
			}
			if c.want != "" && err.(*RejectError).Age != c.age {
				t.Errorf("Verify: age %v, want %v", err.(*RejectError).Age, c.age)
			}
		})
	}
}

// Whatever int64 a header holds, its age has the right sign.
func TestVerify_survivesEveryTime(t *testing.T) {
	key := mustKey(t, recorded.SigningKey)
	for _, unix := range []int64{0, 1, math.MaxInt32, math.MaxUint32, 1 << 40, maxUnix, maxUnix + 1, 1 << 62, math.MaxInt64} {
		header := "t=" + strconv.FormatInt(unix, 10) + "&s=" + strings.Repeat("0", 64)
		err := verifierAt(t, at, key).CheckHeader([]byte(header))
		if got := reason(t, err); got != ReasonExpired {
			t.Errorf("CheckHeader(%s): reason %q, want expired", header, got)
		} else if age := err.(*RejectError).Age; age < 0 != (unix > at.Unix()) {
			t.Errorf("CheckHeader(%s): age %v", header, age)
		}
	}
}

func TestVerify_triesEveryKey(t *testing.T) {
	current, fallback := mustKey(t, recorded.SigningKey), mustKey(t, otherKey)
	further := mustKey(t, "00ff")
	body := []byte(`{"a":1}`)
	for name, c := range map[string]struct {
		signer Key
		keys   []Key
		want   Reason
	}{
		"the current key":                  {current, []Key{current, fallback}, ""},
		"the fallback key":                 {fallback, []Key{current, fallback}, ""},
		"a further key":                    {further, Keyring{current, []Key{fallback, further}}.All(), ""},
		"the new key before the switch":    {fallback, []Key{fallback, current}, ""},
		"a key that was taken out":         {fallback, []Key{current, further}, ReasonMismatch},
		"the current key, prefix apart":    {mustKey(t, "signkey-branch-1234567890abcdef1234567890abcdef"), []Key{current}, ""},
		"the current key in capitals":      {mustKey(t, "1234567890ABCDEF1234567890ABCDEF"), []Key{current}, ReasonMismatch},
		"the current key decoded from hex": {mustKey(t, "31323334"), []Key{mustKey(t, "1234")}, ReasonMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			v := verifierAt(t, at, c.keys...)
			header := []byte(Sign(c.signer, body, at))
			if got := reason(t, v.Verify(header, body)); got != c.want {
				t.Errorf("Verify: reason %q, want %q", got, c.want)
			}
			// The app parsed the body and wrote it again.
			if got := reason(t, v.Verify(header, []byte(`{ "a": 1.0 }`))); got != c.want {
				t.Errorf("Verify of another spelling: reason %q, want %q", got, c.want)
			}
		})
	}
}

func TestVerify_triesTheCanonicalFormUpToItsLimit(t *testing.T) {
	key := mustKey(t, recorded.SigningKey)
	canonical := []byte(`{"a":1,"b":"é<>&"}`)
	respelt := []byte("{ \"b\" : \"\\u00e9<>\\u0026\" , \"a\" : 1e0 }\n")
	header := []byte(Sign(key, canonical, at))
	for name, c := range map[string]struct {
		limit int
		body  []byte
		want  Reason
	}{
		"another spelling":                 {maxCanonical, respelt, ""},
		"another spelling, just in limit":  {len(respelt), respelt, ""},
		"another spelling, over the limit": {len(respelt) - 1, respelt, ReasonMismatch},
		"another spelling, never tried":    {-1, respelt, ReasonMismatch},
		"raw bytes over the limit":         {1, canonical, ""},
		"a member twice":                   {maxCanonical, []byte(`{"a":2,"a":1,"b":"é<>&"}`), ReasonMismatch},
		"another value":                    {maxCanonical, []byte(`{"a":1,"b":"e<>&"}`), ReasonMismatch},
		"text after it":                    {maxCanonical, append(bytes.Clone(canonical), '}'), ReasonMismatch},
		"no JSON":                          {maxCanonical, []byte(`{"a"`), ReasonMismatch},
		"nothing":                          {maxCanonical, nil, ReasonMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVerifier(t, Options{
				Keys:         []Key{key},
				Tolerance:    time.Minute,
				MaxCanonical: c.limit,
				Now:          func() time.Time { return at },
			})
			if got := reason(t, v.Verify(header, c.body)); got != c.want {
				t.Errorf("Verify: reason %q, want %q", got, c.want)
			}
		})
	}
}

func TestVerify_takesAnEmptyBody(t *testing.T) {
	key := mustKey(t, recorded.SigningKey)
	header := []byte(Sign(key, nil, at))
	v := verifierAt(t, at, key)
	for name, body := range map[string][]byte{"nil": nil, "empty": {}} {
		if err := v.Verify(header, body); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := reason(t, v.Verify(header, []byte("\n"))); got != ReasonMismatch {
		t.Errorf("a newline instead of nothing: reason %q, want mismatch", got)
	}
}

func TestVerifyAnswer_leavesOutTrailingWhiteSpaceAlone(t *testing.T) {
	key := mustKey(t, recorded.SigningKey)
	signed := []byte(`{"b":1,"a":2}`) // not canonical, as Go sends it
	header := []byte(Sign(key, signed, at))
	v := verifierAt(t, at, key)
	for name, c := range map[string]struct {
		body         string
		want, answer Reason
	}{
		"as signed":                {`{"b":1,"a":2}`, "", ""},
		"newline after":            {"{\"b\":1,\"a\":2}\n", ReasonMismatch, ""},
		"more white space after":   {"{\"b\":1,\"a\":2} \t\r\n\n", ReasonMismatch, ""},
		"newline before":           {"\n{\"b\":1,\"a\":2}", ReasonMismatch, ReasonMismatch},
		"space inside":             {"{\"b\":1, \"a\":2}", ReasonMismatch, ReasonMismatch},
		"no JSON white space":      {"{\"b\":1,\"a\":2}\v", ReasonMismatch, ReasonMismatch},
		"NUL after":                {"{\"b\":1,\"a\":2}\x00", ReasonMismatch, ReasonMismatch},
		"non-breaking space after": {"{\"b\":1,\"a\":2}\u00a0", ReasonMismatch, ReasonMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			if got := reason(t, v.Verify(header, []byte(c.body))); got != c.want {
				t.Errorf("Verify: reason %q, want %q", got, c.want)
			}
			if got := reason(t, v.VerifyAnswer(header, []byte(c.body))); got != c.answer {
				t.Errorf("VerifyAnswer: reason %q, want %q", got, c.answer)
			}
		})
	}
}

func TestVerifyAnswer_checksTheHeaderToo(t *testing.T) {
	v := verifierAt(t, at, mustKey(t, recorded.SigningKey))
	if got := reason(t, v.VerifyAnswer(nil, nil)); got != ReasonMissing {
		t.Errorf("VerifyAnswer without a header: reason %q, want missing", got)
	}
}

func TestNewVerifier_refusesAMissingValue(t *testing.T) {
	whole := Options{
		Keys:         []Key{mustKey(t, recorded.SigningKey)},
		Tolerance:    time.Minute,
		MaxCanonical: 1,
		Now:          time.Now,
	}
	for name, change := range map[string]func(*Options){
		"no key":         func(o *Options) { o.Keys = nil },
		"an unset key":   func(o *Options) { o.Keys = append(o.Keys[:1:1], Key{}) },
		"no tolerance":   func(o *Options) { o.Tolerance = 0 },
		"less than none": func(o *Options) { o.Tolerance = -1 },
		"no limit":       func(o *Options) { o.MaxCanonical = 0 },
		"no clock":       func(o *Options) { o.Now = nil },
	} {
		t.Run(name, func(t *testing.T) {
			o := whole
			change(&o)
			if _, err := NewVerifier(o); err == nil {
				t.Errorf("NewVerifier(%+v) returned no error", o)
			}
		})
	}
}

func TestNewVerifier_keepsItsOwnKeys(t *testing.T) {
	keys := []Key{mustKey(t, recorded.SigningKey)}
	v := verifierAt(t, at, keys...)
	header := []byte(Sign(keys[0], nil, at))
	keys[0] = mustKey(t, otherKey)
	if err := v.Verify(header, nil); err != nil {
		t.Errorf("Verify after the caller changed its slice: %v", err)
	}
}

func TestVerifier_servesManyAtOnce(t *testing.T) {
	key := mustKey(t, recorded.SigningKey)
	v := verifierAt(t, at, mustKey(t, otherKey), key)
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 200 {
				body := []byte(strconv.Itoa(g*1000 + i))
				if err := v.Verify([]byte(Sign(key, body, at)), body); err != nil {
					t.Errorf("body %s: %v", body, err)
				}
			}
		})
	}
	all.Wait()
}

func TestRejectError_tellsWhyWithoutTheSignature(t *testing.T) {
	for reject, c := range map[*RejectError]struct {
		text string
		code inngest.Code
	}{
		{Reason: ReasonMissing}:                        {"no signature", inngest.CodeSignatureMissing},
		{Reason: ReasonMalformed}:                      {"signature is not t=<unix seconds>&s=<64 lower-case hex digits>", inngest.CodeSignatureMalformed},
		{Reason: ReasonExpired, Age: 6 * time.Minute}:  {"signature was made 6m0s ago", inngest.CodeSignatureExpired},
		{Reason: ReasonExpired, Age: -6 * time.Minute}: {"signature was made 6m0s ahead of our clock", inngest.CodeSignatureExpired},
		{Reason: ReasonExpired, Age: math.MinInt64}:    {"signature was made 2562047h47m16.854775807s ahead of our clock", inngest.CodeSignatureExpired},
		{Reason: ReasonMismatch}:                       {"signature fits none of our keys and this body", inngest.CodeSignatureMismatch},
	} {
		if reject.Error() != c.text || reject.Reason.Code() != c.code {
			t.Errorf("%+v: %q, %s, want %q, %s", *reject, reject.Error(), reject.Reason.Code(), c.text, c.code)
		}
	}
}
