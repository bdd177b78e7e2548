// A worker for Tocsin's queue on plain Node (18 or later), without any package.
//
//     TOCSIN_URL=http://127.0.0.1:7400 TOCSIN_TOKEN=... node examples/worker.js render
//
// It asks for jobs of the types that are named, one after another, and does them. Kill it at any moment: what it had is done by
// the next worker, from the last checkpoint.

"use strict";

const URL_ = process.env.TOCSIN_URL || "http://127.0.0.1:7400";
const TOKEN = process.env.TOCSIN_TOKEN || "";
const NAME = process.env.WORKER_NAME || `node-${process.pid}`;
const LEASE = process.env.WORKER_LEASE || "30s";
const TYPES = process.argv.slice(2);

const ANSWER_MS = 40_000; // longer than the longest wait for a job, so that the node's answer is the one that is seen
const AGAIN_MS = 500; // before something is asked again that had no answer

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// The job is not this worker's any more, or shall be stopped: whatever is being done for it ends.
class Stop extends Error {}

async function ask(method, path, body) {
  const response = await fetch(`${URL_}/api${path}`, {
    method,
    headers: { Authorization: `Bearer ${TOKEN}`, "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(ANSWER_MS),
  });
  const text = await response.text();
  const answer = text ? JSON.parse(text) : null;
  if (response.ok) return answer;
  if (response.status === 409 || response.status === 404) throw new Stop(answer.message);
  const error = new Error(`${response.status}: ${answer.message}`);
  error.lasting = response.status < 429;
  throw error;
}

// The same request until there is an answer. Each may be repeated: a save that was accepted is accepted again, and counts once.
async function surely(method, path, body) {
  for (;;) {
    try {
      return await ask(method, path, body);
    } catch (error) {
      if (error instanceof Stop || error.lasting) throw error;
      console.error(`${NAME}: asking again: ${error.message}`);
      await sleep(AGAIN_MS);
    }
  }
}

// What a handler is given besides its parameters.
class Job {
  constructor(given) {
    Object.assign(this, given);
    this.stopped = null;
    const beat = () => this.say("POST", "/heartbeat", {}).catch((error) => this.heard(error));
    this.heart = setInterval(beat, (given.leaseSeconds * 1000) / 3);
  }

  heard(error) {
    if (error instanceof Stop) this.stopped = error.message;
  }

  async say(method, path, body) {
    const answer = await surely(method, `/queue/jobs/${this.job}${path}`, { lease: this.lease, ...body });
    if (answer.cancel !== null) this.stopped = answer.cancel;
    return answer;
  }

  // Progress, a checkpoint, lines for the log. Throws Stop when the job shall not go on.
  async save(said) {
    const answer = await this.say("PUT", "", said);
    this.check();
    return answer;
  }

  check() {
    if (this.stopped !== null) throw new Stop(this.stopped);
  }
}

// The work itself: adds up 1 to `number` in steps that each take `pause` milliseconds, and goes on where somebody else stopped.
async function sum(job) {
  const { number = 3, pause = 0 } = job.parameters;
  let { done, total } = job.checkpoint || { done: 0, total: 0 };
  while (done < number) {
    await sleep(pause);
    job.check();
    done += 1;
    total += done;
    await job.save({ checkpoint: { done, total }, progress: { done, total: number, step: `adding ${done}` } });
  }
  return { sum: total, worker: NAME, fence: job.fence };
}

async function carryOut(job) {
  try {
    let said;
    try {
      said = { status: "completed", result: await sum(job) };
    } catch (error) {
      if (error instanceof Stop) said = { status: "released" };
      else said = { status: "failed", error: { type: error.name, message: error.message, traceback: error.stack } };
    }
    await job.say("PUT", "", said);
    console.log(`${NAME}: ${job.task}: ${said.status}`);
  } catch (error) {
    console.log(`${NAME}: ${job.task}: refused: ${error.message}`);
  } finally {
    clearInterval(job.heart);
  }
}

async function main() {
  if (TYPES.length === 0) {
    console.error("usage: node worker.js TYPE ...");
    process.exit(2);
  }
  let stopping = false;
  process.on("SIGTERM", () => (stopping = true));
  const me = `/queue/workers/${encodeURIComponent(NAME)}`;
  await surely("POST", `${me}/start`);
  while (!stopping) {
    const { job } = await surely("POST", `${me}/next`, { types: TYPES, lease: LEASE });
    if (job !== null) await carryOut(new Job(job));
  }
}

main().catch((error) => {
  console.error(`${NAME}: ${error.message}`);
  process.exit(1);
});
