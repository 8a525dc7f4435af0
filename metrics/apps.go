package metrics

import "github.com/prometheus/client_golang/prometheus"

// Apps counts what package gateway/apps does.
type Apps struct {
	Syncs     *prometheus.CounterVec // {app,way,outcome}; way: in_band, out_of_band, hint, own, retold; outcome: ok, failed, refused
	Functions *prometheus.GaugeVec   // {app}; functions in the last good manifest
	LastSync  *prometheus.GaugeVec   // {app}; Unix time of the last good sync
	Damaged   *prometheus.CounterVec // {}; kept manifests that could not be read at start and were set aside
	Unsaved   *prometheus.CounterVec // {app}; manifests that could not be written to the state folder
}

func newApps(reg prometheus.Registerer) *Apps {
	f := factory{reg, "apps"}
	return &Apps{
		Syncs:     f.counter("syncs_total", "Registrations of an app's functions by way and outcome.", "app", "way", "outcome"),
		Functions: f.gauge("functions", "Functions in the last good manifest of an app.", "app"),
		LastSync:  f.gauge("last_sync_timestamp_seconds", "Unix time of the last good sync of an app.", "app"),
		Damaged:   f.counter("damaged_manifests_total", "Kept manifests that could not be read at start and were set aside."),
		Unsaved:   f.counter("unsaved_manifests_total", "Manifests that could not be written to the state folder.", "app"),
	}
}
