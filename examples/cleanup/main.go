// Command cleanup is a store with something to clean up: plain HTTP, it knows
// nothing of Inngest.
package main

import (
	"encoding/json"
	"log"
	"net/http"
	"os"
)

func main() {
	http.HandleFunc("DELETE /sessions", answer(map[string]any{"removed": 12}))
	http.HandleFunc("DELETE /uploads", answer(map[string]any{"removed": 3}))
	http.HandleFunc("GET /statistics", answer(map[string]any{"sessions": 40, "uploads": 7}))
	http.HandleFunc("POST /reports", func(w http.ResponseWriter, r *http.Request) {
		var report struct{ Removed map[string]int }
		if err := json.NewDecoder(r.Body).Decode(&report); err != nil || len(report.Removed) == 0 {
			http.Error(w, `{"message": "a report tells what was removed"}`, http.StatusUnprocessableEntity)
			return
		}
		answer(map[string]any{"id": "report-1"})(w, r)
	})
	port := os.Getenv("PORT")
	if port == "" {
		port = "9003"
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:"+port, nil))
}

func answer(body any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(body); err != nil {
			log.Print(err)
		}
	}
}
