// The app and the sender by themselves, without a gateway: what the Go tests
// count on. Run by `npm test`.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";

const key = "1234567890abcdef1234567890abcdef";
const env = {
  PATH: process.env.PATH,
  INNGEST_SIGNING_KEY: `signkey-prod-${key}`,
  INNGEST_EVENT_KEY: "abcdef1234567890",
  CHECKPOINTING: "0",
};

let app, base;
const lines = [];

before(async () => {
  app = spawn(process.execPath, ["app.mjs"], { cwd: import.meta.dirname, env, stdio: ["ignore", "pipe", "inherit"] });
  const reader = createInterface({ input: app.stdout });
  const [first] = await once(reader, "line");
  base = `http://127.0.0.1:${JSON.parse(first).port}/api/inngest`;
  reader.on("line", (line) => lines.push(JSON.parse(line)));
});

after(async () => {
  const ended = once(app, "exit");
  app.kill("SIGTERM");
  await ended;
});

const sign = (body) => {
  const t = Math.floor(Date.now() / 1000);
  return `t=${t}&s=${createHmac("sha256", key).update(body).update(String(t)).digest("hex")}`;
};

// The SDK checks the signature over canonical JSON: names in order.
const canonical = (value) =>
  JSON.stringify(value, (_, v) =>
    v && typeof v === "object" && !Array.isArray(v)
      ? Object.fromEntries(Object.entries(v).sort(([a], [b]) => (a < b ? -1 : 1)))
      : v);

const call = (fn, steps = {}) => {
  const event = { name: `t/${fn}`, data: { n: 1 }, id: "01M85TYKGE66PHKDRJ6RZSJYKM", ts: Date.now(), user: {} };
  const body = canonical({
    ctx: {
      attempt: 0, disable_immediate_execution: false, env: "", fn_id: "2ea0ec5f-4555-55dd-bbb3-55e9f49e0135",
      max_attempts: 5, qi_id: "x", run_id: "01M85TYKKDVVHPHJVAC3R62DXC",
      stack: { current: Object.keys(steps).length, stack: Object.keys(steps) }, step_id: "step", use_api: false,
    },
    event, events: [event], steps, use_api: false, version: 2,
  });
  return fetch(`${base}?fnId=js-app-${fn}&stepId=step`, {
    method: "POST", body, headers: { "content-type": "application/json", "x-inngest-signature": sign(body) },
  });
};

test("a signed call is answered, an unsigned one is not", async () => {
  const answer = await call("simple");
  assert.equal(answer.status, 200);
  assert.deepEqual(await answer.json(), { ok: true, n: 1 });
  const unsigned = await fetch(`${base}?fnId=js-app-simple&stepId=step`, { method: "POST", body: "{}" });
  assert.equal(unsigned.status, 401);
});

test("the code of a step is reported when it runs", async () => {
  const answer = await call("many");
  assert.equal(answer.status, 206);
  const [op] = await answer.json();
  assert.equal(op.op, "StepRun");
  assert.deepEqual(lines.find((line) => line.fn === "many"), {
    run: "01M85TYKKDVVHPHJVAC3R62DXC", fn: "many", step: "a", attempt: 0,
  });
});

test("connections are counted", () => {
  assert.ok(lines.some((line) => line.connection >= 1));
});

test("events are sent alone and together to the configured address", async () => {
  const got = [];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    const events = JSON.parse(body);
    got.push({ path: request.url, events });
    response.end(JSON.stringify({ ids: events.map((_, i) => `id-${got.length}-${i}`), status: 200 }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    const sender = spawn(process.execPath, ["send.mjs", "t/simple", '{"n":7}', "3"], {
      cwd: import.meta.dirname, stdio: ["ignore", "pipe", "inherit"],
      env: { ...env, INNGEST_BASE_URL: `http://127.0.0.1:${server.address().port}` },
    });
    const ended = once(sender, "exit");
    let out = "";
    for await (const chunk of sender.stdout) out += chunk;
    assert.deepEqual(await ended, [0, null]);
    assert.deepEqual(JSON.parse(out), { single: ["id-1-0"], many: ["id-2-0", "id-2-1", "id-2-2"] });
    assert.deepEqual(got.map((g) => g.path), ["/e/abcdef1234567890", "/e/abcdef1234567890"]);
    assert.deepEqual(got.map((g) => g.events.map((e) => e.data.sent)), [[0], [1, 2, 3]]);
    assert.equal(got[1].events[0].data.n, 7);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
