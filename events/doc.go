// Package events takes events of apps and brings them to Inngest.
package events
