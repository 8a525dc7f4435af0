// Package apps is the registry of the apps behind the gateway: which id, path,
// keys and signing pair an app has, and what it last registered. It does the
// syncs and makes registered URLs the gateway's own. Listening, and the wire on
// either side, is left to gateway/inbound, gateway/outbound and pool.
package apps
