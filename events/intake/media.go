package intake

import "strings"

// A medium is how a body is read.
type medium uint8

const (
	mediumJSON        medium = iota // an object, an array, or objects one after the other
	mediumLines                     // the same, but nothing after an array is ignored
	mediumForm                      // JSON, if it looks like it; else a form
	mediumCloudEvent                // one CloudEvent in structured mode
	mediumCloudEvents               // an array of them
	mediumCloudOther                // a CloudEvent in another format than JSON
)

// mediumOf tells how a body of that content type is read. The server looks at
// it for forms only; everything else that begins like JSON is JSON, and much of
// it is sent as something else (curl -d says form).
func mediumOf(contentType string) medium {
	base, _, _ := strings.Cut(contentType, ";")
	base = strings.TrimSpace(base)
	for _, known := range [...]struct {
		name string
		medium
	}{
		{"application/json", mediumJSON},
		{"application/x-ndjson", mediumLines},
		{"application/ndjson", mediumLines},
		{"application/jsonl", mediumLines},
		{"application/x-jsonlines", mediumLines},
		{"application/json-lines", mediumLines},
		{"application/x-www-form-urlencoded", mediumForm},
		{"multipart/form-data", mediumForm},
		{"application/cloudevents+json", mediumCloudEvent},
		{"application/cloudevents-batch+json", mediumCloudEvents},
	} {
		if strings.EqualFold(base, known.name) {
			return known.medium
		}
	}
	const cloud = "application/cloudevents"
	if len(base) >= len(cloud) && strings.EqualFold(base[:len(cloud)], cloud) {
		return mediumCloudOther
	}
	return mediumJSON
}

// carriesJSON tells whether data of that content type is JSON.
func carriesJSON(contentType string) bool {
	base, _, _ := strings.Cut(contentType, ";")
	base = strings.ToLower(strings.TrimSpace(base))
	return base == "" || base == "application/json" || base == "text/json" || strings.HasSuffix(base, "+json")
}
