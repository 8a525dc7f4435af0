package inngest_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

func TestRegisterRequest_keepsEveryRecordedMember(t *testing.T) {
	for _, number := range []int{1, 25, 31, 37, 39} {
		x := recorded.One(t, number)
		request := decode[inngest.RegisterRequest](t, x.Name, x.Request.Body)
		sameJSON(t, x.Name, marshal(t, request), withDefault(x.Request.Body))
		if result := decode[inngest.RegisterResult](t, x.Name, x.Response.Body); !result.OK {
			t.Errorf("%s: result %+v", x.Name, result)
		}
	}
}

// withDefault drops the empty idempotency key that Go writes.
func withDefault(body []byte) []byte {
	return []byte(strings.Replace(string(body), `"idempotencyKey":"",`, "", 1))
}

func TestFunction_keepsEveryRecordedOption(t *testing.T) {
	total := 0
	for _, number := range []int{1, 25, 31, 37, 39} {
		x := recorded.One(t, number)
		for _, text := range decode[inngest.RegisterRequest](t, x.Name, x.Request.Body).Functions {
			total++
			f := decode[inngest.Function](t, x.Name, text)
			written := strings.ReplaceAll(string(text), `"Singleton":null,`, "")
			sameJSON(t, x.Name+" "+f.ID, marshal(t, f), []byte(written))
			if faults := f.Check(); faults != nil {
				t.Errorf("%s: the server took %s, Check says %+v", x.Name, f.ID, faults)
			}
		}
	}
	if total < 80 {
		t.Errorf("only %d recorded functions", total)
	}
}

func TestInBandAnswer_keepsEveryRecordedMember(t *testing.T) {
	for _, number := range []int{26, 32, 34} {
		x := recorded.One(t, number)
		answer := decode[inngest.InBandAnswer](t, x.Name, x.Response.Body)
		sameJSON(t, x.Name, marshal(t, answer), x.Response.Body)
		inspection := decode[inngest.Introspection](t, x.Name, answer.Inspection)
		if inspection.SchemaVersion != inngest.IntrospectionSchema || inspection.AppID != answer.AppID {
			t.Errorf("%s: inspection %+v", x.Name, inspection)
		}
	}
}

func TestIntrospection_keepsEveryRecordedMember(t *testing.T) {
	for _, number := range []int{40, 41} {
		x := recorded.One(t, number)
		var want map[string]json.RawMessage
		if err := json.Unmarshal(x.Response.Body, &want); err != nil {
			t.Fatal(err)
		}
		got := decode[inngest.Introspection](t, x.Name, x.Response.Body)
		if want["has_signing_key_fallback"] == nil { // JS does not say
			want["has_signing_key_fallback"] = json.RawMessage("false")
		}
		sameJSON(t, x.Name, marshal(t, got), marshal(t, want))
	}
}

func TestSyncAnswers_readRecordedOnes(t *testing.T) {
	for _, number := range []int{29, 30} {
		x := recorded.One(t, number)
		decode[inngest.SyncRequest](t, x.Name, x.Request.Body)
		if got := decode[inngest.SyncResult](t, x.Name, x.Response.Body); got.Message != "Successfully registered" {
			t.Errorf("%s: %+v", x.Name, got)
		}
	}
	x := recorded.One(t, 38)
	if got := decode[inngest.ServerError](t, x.Name, x.Response.Body); got.Error() != "App ID required" || got.Status != 400 {
		t.Errorf("%s: %+v", x.Name, got)
	}
}

// Exchange 39 is the answer of 34 under the names of a registration, and the
// server took it.
func TestInBandAnswer_registersAsTheRecordedBridge(t *testing.T) {
	answer := decode[inngest.InBandAnswer](t, "34", recorded.One(t, 34).Response.Body)
	got := answer.Register()
	want := decode[inngest.RegisterRequest](t, "39", recorded.One(t, 39).Request.Body)
	if !inngest.SameFunctions(got.Functions, want.Functions) {
		t.Errorf("Register has other functions:\n%s\nwant\n%s", got.Functions, want.Functions)
	}
	got.Functions, want.Functions = nil, nil
	sameJSON(t, "registration", marshal(t, got), marshal(t, want))
}

func TestSameFunctions_comparesSets(t *testing.T) {
	functionsOf := func(number int) []json.RawMessage {
		return decode[inngest.InBandAnswer](t, "answer", recorded.One(t, number).Response.Body).Functions
	}
	moved := func(functions []json.RawMessage, from, to string) []json.RawMessage {
		functions = slices.Clone(functions)
		for i := range functions {
			functions[i] = json.RawMessage(strings.ReplaceAll(string(functions[i]), from, to))
		}
		return functions
	}
	server, inBand := functionsOf(32), functionsOf(34)
	server = moved(server, "//localhost:", "//127.0.0.1:")
	if cmp.Equal(server, inBand) {
		t.Fatal("32 and 34 list their functions in one order: they prove nothing")
	}
	raw := func(texts ...string) (functions []json.RawMessage) {
		for _, text := range texts {
			functions = append(functions, json.RawMessage(text))
		}
		return functions
	}
	for name, c := range map[string]struct {
		a, b []json.RawMessage
		want bool
	}{
		"another order, as Go has it":         {server, inBand, true},
		"another URL":                         {functionsOf(32), inBand, false},
		"another retry count":                 {server, moved(inBand, `"retries":1`, `"retries":2`), false},
		"one function less":                   {server, inBand[1:], false},
		"order of members and white space":    {raw(`{"a":1,"b":2}`), raw(`{ "b":2, "a":1 }`), true},
		"one listed twice, the other not":     {raw(`1`, `1`, `2`), raw(`1`, `2`, `2`), false},
		"escaped and plain spelling":          {raw(`"a&b"`), raw(`"a\u0026b"`), true},
		"integers beyond 2^53":                {raw(`9007199254740993`), raw(`9007199254740992`), false},
		"none and none":                       {nil, []json.RawMessage{}, true},
		"broken text is not even like itself": {raw(`{`), raw(`{`), false},
		"two values in one text":              {raw(`1 2`), raw(`1 2`), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := inngest.SameFunctions(c.a, c.b); got != c.want {
				t.Errorf("SameFunctions = %v, want %v", got, c.want)
			}
		})
	}
}

func TestRegisterRequest_keepsWhatItDoesNotKnow(t *testing.T) {
	body := `{"url":"u","deployType":"ping","framework":"","appName":"a","functions":[],"sdk":"s","v":"1","later":{"n":9007199254740993}}`
	got := string(marshal(t, decode[inngest.RegisterRequest](t, "register", []byte(body))))
	if got != body {
		t.Errorf("round trip = %s, want %s", got, body)
	}
}
