// Package apps is the registry of the apps behind the gateway: which id, path,
// keys and signing pair an app has, and what it last registered. It does the
// syncs and makes registered URLs the gateway's own. Listening, and the wire on
// either side, is left to gateway/inbound, gateway/outbound and pool.
//
// # Signing
//
// A [Pair] verifies and signs on both sides of one app. In passthrough the app
// holds the real key and everything passes as it is. In resign it holds a local
// key: what Inngest signed is signed anew for the app, and the other way round.
// In strip it runs without verification, sees no signature, and its answers are
// signed for it. Syncs are the gateway's own requests, signed in every mode
// with the key that the app has; while keys rotate, an app that answers 401 is
// asked once more with the next key.
//
// # Syncs
//
// Functions become known in two dialects. Out of band: the server sends the app
// a PUT, and the app posts /fn/register. In band: the app answers the PUT with
// its functions. Neither every SDK nor every server knows both.
//
//	server                 app           what happens
//	PUT, wants a register  in band       ask, post /fn/register, answer as an SDK would
//	PUT, wants a register  out of band   ask; the app posts, the gateway sends it on
//	PUT in_band            in band       ask, answer with the gateway's URLs
//	PUT in_band            out of band   ask; the app posts, its registration is the answer, not posted
//	PUT without signature  either        a hint: the gateway asks for itself, see below
//
// To ask is a PUT that both kinds of SDK understand: signed, x-inngest-sync-kind
// in_band, the body exactly {"url":…}. What the app is told there is its public
// URL: Options.PublicURL, or Options.ServeOrigin, with the app's path; without
// either, the URL in the first signed PUT. Whatever the app then registers, its
// URLs get scheme, host and path of that one, and keep their queries. Without a
// public URL nothing is registered: Inngest would call past the gateway.
//
// Which dialect a server speaks is found out with each sync: one that answers
// /fn/register with 404, 405 or 410 knows in-band only. The registration is
// then kept, the app hears that it is registered, and the server's next PUT is
// answered with it. sync.dialect pins it instead.
//
// A PUT without signature can come from anybody, and from the server itself for
// an app that was added on its page. With unsigned_sync: hint it makes the
// gateway sync that app with what the configuration says, at most once in 10 s;
// nothing in the PUT is believed, and the answer is always the same.
//
// x-inngest-server-kind goes to the app with a signed PUT, unless it runs in
// strip and thinks that it is in development, and with a registration both
// ways. A dev server is refused while verification is on.
//
// # Manifests
//
// The last registration that the server took is the app's manifest. It is kept
// in state_dir, one file an app, replaced whole; a damaged file is set aside,
// counted and logged, and the app is like one that never registered. Without
// state_dir manifests live in memory.
//
// [Registry.Run] tells each manifest again every ten minutes (sync.retell), and
// when [Registry.NotifyRecovered] says that Inngest is back or
// [Registry.TellAgain] that it has forgotten the app, so that a server that lost
// its memory has the app's crons again. The app is asked first: with
// several replicas a sync reaches one of them, and the others must not take the
// server back to what was true before. An app that does not answer is told of
// as it was. What Inngest could not be told is tried again after 1 s, 2 s, 4 s,
// up to a minute, until it was heard or refused.
//
// Of two registrations that overtake each other the one that was asked for
// later wins.
package apps
