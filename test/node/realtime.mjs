// Subscribes to a realtime topic with the JavaScript SDK, publishes to it and
// prints, as a line of JSON, the messages that came back. It reads the SDK's own
// INNGEST_ variables. Node 20 has WebSockets behind a flag only.
//
//   node --experimental-websocket realtime.mjs room
import { Inngest } from "inngest";
import { realtime, staticSchema } from "inngest/realtime";

const room = realtime.channel({ name: process.argv[2] ?? "room", topics: { news: { schema: staticSchema() } } });
const quiet = { debug() {}, info() {}, warn() {}, error() {} };
const client = new Inngest({ id: "subscriber", logger: quiet });

const messages = [];
let ended;
const end = new Promise((resolve) => (ended = resolve));
const subscription = await client.realtime.subscribe({
  channel: room,
  topics: ["news"],
  onMessage({ channel, topic, data }) {
    messages.push({ channel, topic, data });
    if (data.last) ended();
  },
});

// A server keeps no message and does not tell when a subscription has begun:
// publish until one arrives. Of those that follow, none may be missing.
let n = 0;
for (; messages.length === 0; n++) await client.realtime.publish(room.news, { n, last: false });
await client.realtime.publish(room.news, { n, last: true });
await end;
subscription.unsubscribe();
process.stdout.write(JSON.stringify(messages) + "\n");
