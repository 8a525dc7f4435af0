package intake

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// The server's content types of answers.
const (
	AnswerType  = "text/plain; charset=utf-8" // of AppendAccepted and AppendRefused
	UnknownType = "application/json"          // of AppendUnknownKey
)

// AppendAccepted appends the server's answer to events that it took. An answer
// to no events has one empty id.
func AppendAccepted(dst []byte, ids []string) []byte {
	dst = append(dst, `{"ids":[`...)
	for i, id := range ids {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, id)
	}
	if len(ids) == 0 {
		dst = append(dst, `""`...)
	}
	return append(dst, "],\"status\":200}\n"...)
}

// AppendRefused appends the server's answer to a request of which it took no
// event.
func AppendRefused(dst []byte, status int, message string) []byte {
	dst = append(dst, `{"ids":[""],"status":`...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, `,"error":`...)
	dst = appendString(dst, message)
	return append(dst, "}\n"...)
}

// AppendUnknownKey appends the server's answer to an event key that is missing
// or not known, which has another shape than its other answers.
func AppendUnknownKey(dst []byte, status int, message string) []byte {
	dst = append(dst, `{"status":`...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, `,"message":"","error":`...)
	dst = appendString(dst, message)
	return append(dst, "}\n"...)
}

// appendString appends text as encoding/json writes it, which escapes more than
// JSON asks for.
func appendString(dst []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			buf := bytes.NewBuffer(dst)
			// Neither a string nor a bytes.Buffer can fail.
			_ = json.NewEncoder(buf).Encode(text)
			return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
		}
	}
	dst = append(dst, '"')
	dst = append(dst, text...)
	return append(dst, '"')
}
