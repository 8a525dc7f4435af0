// Command go is a durable order in Go, as docs/conversation.md has it.
package main

import (
	"encoding/json"
	"net/http"
	"os"
)

type m = map[string]any

// ask says what comes next, given what has been done. It does nothing itself.
func ask(event, steps m) m {
	switch {
	case steps["charge"] == nil:
		return m{"steps": []m{{"id": "charge", "run": event["data"]}}}
	case steps["charge"].(m)["error"] != nil:
		return m{"return": m{"status": "declined", "reason": steps["charge"].(m)["error"].(m)["message"]}}
	case steps["settle"] == nil:
		return m{"steps": []m{{"id": "settle", "sleep": "1s"}}}
	case steps["mail"] == nil || steps["ship"] == nil:
		return m{"steps": []m{{"id": "mail", "run": nil}, {"id": "ship", "run": nil}}}
	}
	return m{"return": m{"status": "shipped", "charge": steps["charge"].(m)["data"].(m)["id"]}}
}

func main() {
	http.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) {
		var q, answer m
		json.NewDecoder(r.Body).Decode(&q)
		status := http.StatusOK
		switch step, _ := q["run"].(string); {
		case step == "charge" && q["input"].(m)["amount"].(float64) > 1000:
			status, answer = http.StatusPaymentRequired, m{"name": "CardDeclined", "message": "the card was declined"}
		case step != "": // one step; it comes again only if it failed
			answer = m{"id": step + "-" + q["ctx"].(m)["runId"].(string)}
		default:
			answer = ask(q["event"].(m), q["steps"].(m))
		}
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(answer)
	})
	http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil)
}
