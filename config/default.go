package config

import (
	"log/slog"
	"time"
)

// Default returns every default there is outside the list of apps. It lacks a
// signing key and an app, so it is not valid as it stands.
func Default() Config {
	return Config{
		Inngest: Inngest{Environment: Environment{
			APIURL:             "https://api.inngest.com",
			EventURL:           "https://inn.gs",
			SignatureTolerance: 5 * time.Minute,
		}},
		Listen: Listen{
			Inngest: ":8480",
			Apps:    "127.0.0.1:8481",
			Admin:   "127.0.0.1:8482",
		},
		Limits: Limits{
			Memory:        PercentOf(75),
			AnswerReserve: PercentOf(25),
			Body:          8 * MiB,
			Answer:        8 * MiB,
			Head:          16 * KiB,
			URI:           8 * KiB,
			Connections:   10_000,
			HeadTimeout:   30 * time.Second,
			BodyMinRate:   16 * KiB,
			IdleTimeout:   11 * time.Minute, // load balancers keep connections for up to 10
			WriteTimeout:  30 * time.Second,
			MemoryWait:    30 * time.Second,
			Canonical:     MiB,
		},
		Events:      defaultEvents(),
		Compression: Compression{Enabled: true, MinSize: 32 * KiB},
		Outbound: Outbound{
			DialTimeout:     5 * time.Second,
			AnswerTimeout:   6 * time.Minute,
			BodyTimeout:     time.Minute,
			StreamIdle:      time.Hour,
			IdleConnections: 64,
			IdleTimeout:     time.Minute,
		},
		Sync: Sync{
			Retell:  10 * time.Minute,
			Timeout: 10 * time.Second, // as long as the server waits for a sync
			Dialect: DialectAuto,
		},
		Drain: Drain{Calls: 20 * time.Second, Apps: 5 * time.Second, Events: 5 * time.Second},
		Log:   Log{Level: slog.LevelInfo, Format: LogJSON, Sample: 100, Buffer: 4096},
	}
}

// DefaultApp returns an app with every default there is; it lacks an endpoint.
func DefaultApp() App {
	return App{
		Path:         "/api/inngest",
		Signing:      SigningPassthrough,
		UnsignedSync: UnsignedSyncHint,
		Compress:     true,
		OutageBudget: 24 * time.Hour,
		Wait:         defaultWait(),
		Concurrency:  defaultConcurrency(),
		Guard:        defaultGuard(),
		Upstream: Upstream{
			DialTimeout:   2 * time.Second,
			AnswerTimeout: 2 * time.Hour,
			Connections: Connections{
				Max:         1000,
				Idle:        64,
				IdleTimeout: 4 * time.Second, // Node closes idle connections after 5
				MaxLifetime: 5 * time.Minute,
				Wait:        10 * time.Second,
			},
			Breaker: Breaker{
				ConsecutiveFailures: 5,
				FailureRatio:        0.5,
				MinCalls:            20,
				Window:              30 * time.Second,
				OpenFor:             5 * time.Second,
				Probes:              1,
			},
			Probe: Probe{Kind: ProbeSDK, Timeout: 2 * time.Second},
		},
	}
}
