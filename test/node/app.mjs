// An app on the JavaScript SDK, unmodified, behind express: one function of every
// kind that the gateway has to carry, the same as test/sdk/sdkapp has on the Go
// SDK. It is configured by the SDK's own INNGEST_ variables and by:
//
//   APP_ID         the app's id (js-app)
//   CHECKPOINTING  0: hand every step to the server by itself
//   PORT           0 or unset: a free one
//   STEP_MS        how long the code of a step takes at least (0)
//   LINGER         1: after SIGTERM, go on to serve connections that are in use
//
// On standard output it writes one line of JSON for each thing that tests count:
//   {"port":…}                          serving, once
//   {"connection":n}                    the n-th connection was accepted
//   {"run":…,"fn":…,"step":…,"attempt":…} the code of a step runs
import express from "express";
import { Inngest, NonRetriableError, RetryAfterError } from "inngest";
import { serve } from "inngest/express";

const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");

// Standard output is for the lines above: the SDK's own log goes elsewhere.
const toStderr = (...words) => console.error(...words);
const logger = { debug() {}, info() {}, warn: toStderr, error: toStderr };

const id = process.env.APP_ID || "js-app";
const stepTime = Number(process.env.STEP_MS || 0);
const client = new Inngest({
  id,
  logger,
  checkpointing: process.env.CHECKPOINTING !== "0",
});

// define makes a function that the event with its own name triggers. Its handler
// gets run(step id, code): a step whose execution is reported.
const functions = [];
const define = (name, options, handler) => {
  const fn = client.createFunction(
    { id: name, triggers: [{ event: `t/${name}` }], ...options },
    (context) => {
      const run = (stepId, code) =>
        context.step.run(stepId, async () => {
          say({ run: context.runId, fn: name, step: stepId, attempt: context.attempt });
          if (stepTime > 0) {
            await new Promise((done) => setTimeout(done, stepTime));
          }
          return code();
        });
      return handler({ ...context, run });
    },
  );
  functions.push(fn);
  return fn;
};

const simple = define("simple", {}, ({ event }) => ({ ok: true, n: event.data.n ?? null }));

// Every way of stopping and going on: two steps, a sleep, an event sent, one
// waited for, another function.
define("steps", {}, async ({ step, run }) => {
  const a = await run("a", () => 1);
  const b = await run("b", () => a + 1);
  await step.sleep("zzz", "1s");
  await step.sendEvent("send", { name: "t/other", data: { from: "steps" } });
  const approval = await step.waitForEvent("wait", { event: "t/approve", timeout: "1h" });
  const inv = await step.invoke("inv", { function: simple, data: { n: 9 } });
  return { a, b, w: approval?.name ?? null, inv };
});

define("text", { retries: 1 }, async ({ step, run }) => {
  const first = await run("a", () => "é<>&");
  await step.sleep("nap", "1s");
  return run("b", () => first + "!");
});

define("parallel", {}, ({ run }) =>
  Promise.all([1, 2, 3, 4].map((n) => run(`p${n}`, () => n * n))),
);

define("nonretriable", {}, () => {
  throw new NonRetriableError("nope");
});

define("retryafter", { retries: 2 }, ({ attempt }) => {
  if (attempt === 0) {
    throw new RetryAfterError("later", "2s");
  }
  return attempt;
});

define("fails", { retries: 1 }, () => {
  throw new Error("boom");
});

define("stepfails", { retries: 0 }, ({ run }) =>
  run("bad", () => {
    throw new Error("no way");
  }),
);

define("wobbly", { retries: 1 }, ({ run, attempt }) =>
  run("wobble", () => {
    if (attempt === 0) {
      throw new Error("wobble");
    }
    return "steady";
  }),
);

define("waits", {}, ({ step }) =>
  step.waitForEvent("wait", { event: "t/never", timeout: "1s" }),
);

// Ten steps in a row: where one is lost or runs twice, it shows.
define("many", {}, async ({ run }) => {
  let sum = 0;
  for (let n = 0; n < 10; n++) {
    sum += await run(String.fromCharCode(97 + n), () => n);
  }
  return sum;
});

define("echo", {}, ({ event }) => ({ filler: "x".repeat(event.data.size ?? 0) }));

define("batch", { batchEvents: { maxSize: 5, timeout: "2s" } }, ({ events }) => events.length);

const app = express();
app.use(express.json({ limit: "100mb" }));
app.use("/api/inngest", serve({ client, functions }));

let connections = 0;
const server = app.listen(Number(process.env.PORT || 0), "127.0.0.1", (error) => {
  if (error) {
    console.error(error);
    process.exit(1);
  }
  say({ port: server.address().port });
});
server.on("connection", () => say({ connection: ++connections }));

process.on("SIGTERM", () => {
  server.close(() => process.exit(0));
  // A connection that is in use now is idle in a moment, and would be used again
  // and again by whoever keeps it.
  if (process.env.LINGER !== "1") {
    setInterval(() => server.closeIdleConnections(), 50);
  }
});
