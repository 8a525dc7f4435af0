package chaos

import (
	"encoding/json"
	"net/http"
)

// An endpointStatus is what a gateway's status page tells of one address of an
// app.
type endpointStatus struct {
	App       string `json:"app"`
	Address   string `json:"address"`
	Breaker   string `json:"breaker"`
	Calls     int    `json:"calls"`
	LastError string `json:"last_error"`
}

// endpoints asks the gateway for its endpoints.
func (g *gateway) endpoints() []endpointStatus {
	g.tb.Helper()
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + g.admin + "/status")
	if err != nil {
		g.tb.Fatal(err)
	}
	defer resp.Body.Close()
	var status struct {
		Endpoints []endpointStatus `json:"endpoints"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&status); err != nil {
		g.tb.Fatalf("status page: %v", err)
	}
	return status.Endpoints
}
