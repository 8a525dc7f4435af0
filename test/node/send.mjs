// Sends events with the JavaScript SDK, one alone and then several at once, and
// prints the ids that came back as a line of JSON. It reads the SDK's own
// INNGEST_ variables.
//
//   node send.mjs t/simple '{"n":1}' 3
import { Inngest } from "inngest";

const [name = "t/simple", data = "{}", count = "2"] = process.argv.slice(2);
const quiet = { debug() {}, info() {}, warn() {}, error() {} };
const client = new Inngest({ id: "sender", logger: quiet });

const event = (n) => ({ name, data: { ...JSON.parse(data), sent: n } });
const single = await client.send(event(0));
const many = await client.send(Array.from({ length: Number(count) }, (_, i) => event(i + 1)));
process.stdout.write(JSON.stringify({ single: single.ids, many: many.ids }) + "\n");
