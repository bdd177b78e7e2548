// Removing what has ended: how much that is first.

import { html, useEffect, useState } from "../lib.js";
import { get, may, post } from "../api.js";
import { many } from "../format.js";
import { commandLine, curlLine, Elsewhere } from "./copy.js";
import { Dialog } from "./dialog.js";
import { Problem } from "./page.js";
import { levels } from "./task_filters.js";
import { say } from "./toast.js";

const HOUR = 3_600_000;

/** How long ago it ended: as the node takes it, in milliseconds, in words. */
const AGES = [
  ["1h", HOUR, "an hour ago"],
  ["1d", 24 * HOUR, "a day ago"],
  ["7d", 168 * HOUR, "a week ago"],
  ["30d", 720 * HOUR, "30 days ago"],
  ["90d", 2_160 * HOUR, "90 days ago"],
];

/** Executions that are counted: whether there are more of them than that is no question any more. */
const COUNTED = 1_000;

/** How much a flush would remove: {number, words}. */
async function countJobs(body) {
  const { tasks, jobs, complete } = await post("/queue/flush", { ...body, dryRun: true });
  return { number: tasks + jobs, words: `${many(tasks, "task")} and ${many(jobs, "job")}${complete ? "" : ", and more"}.` };
}

/** How many executions have ended before: each goes with its attempts, logs, and rows of the ledger. */
async function countEnded({ olderThan }) {
  const [, length] = AGES.find(([age]) => age === olderThan);
  const until = new Date(Date.now() - length).toISOString();
  const ended = { state: "COMPLETED,FAILED,TIMED_OUT,CANCELLED", since: "2000-01-01T00:00:00Z", until, limit: COUNTED };
  const { list, more, reached } = await get("/executions", ended);
  return { number: list.length, words: `${many(list.length, "execution")}${more || reached ? " or more" : ""}.` };
}

const KINDS = {
  jobs: {
    title: "Jobs of outside workers",
    about: "Removes the jobs of workers that have ended, and their tasks that fire no more.",
    where: "/queue/flush",
    role: "operator",
    body: ({ level, age }) => ({ ...(level ? { level } : {}), olderThan: age }),
    cli: ({ level, age }) => commandLine("queue", "flush", ...(level ? ["--level", level] : []), "--older-than", age),
    said: (told) => `Removed: ${many(told.tasks, "task")}, ${many(told.jobs, "job")}`,
    count: countJobs,
  },
  history: {
    title: "History of all tasks",
    about: "Removes executions that have ended, with their logs, and what the ledger has from before; tasks that go on stay.",
    where: "/purge",
    role: "administrator",
    body: ({ age }) => ({ olderThan: age }),
    cli: ({ age }) => commandLine("purge", "--older-than", age),
    said: (told) => `Removed: ${many(told.removed, "row")}`,
    count: countEnded,
  },
};

/** A button that removes what has ended; `done` is called after it. */
export function Flush({ done }) {
  const [open, setOpen] = useState(false);
  return html`<button type="button" disabled=${!may("operator")} title=${may("operator") ? undefined : "needs the role operator"} aria-haspopup="dialog" onClick=${() => setOpen(true)}>Flush</button>
    ${open && html`<${Question} done=${done} close=${() => setOpen(false)} />`}`;
}

/** How much a removal would take: {told} or {error}; neither while it is counted. */
function useCount(kind, body) {
  const [counted, setCounted] = useState({});
  useEffect(() => {
    let newest = true;
    setCounted({});
    kind.count(body).then(
      (told) => newest && setCounted({ told }),
      (error) => newest && setCounted({ error }),
    );
    return () => {
      newest = false;
    };
  }, [kind.where, JSON.stringify(body)]);
  return counted;
}

function Question({ done, close }) {
  const [filled, setFilled] = useState({ kind: "jobs", age: "7d", level: "" });
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const kind = KINDS[filled.kind];
  const body = kind.body(filled);
  const counted = useCount(kind, body);
  const set = (changes) => setFilled({ ...filled, ...changes });
  const send = async (event) => {
    event.preventDefault();
    setBusy(true);
    try {
      const told = await post(kind.where, body);
      say(`${kind.said(told)}${told.complete ? "" : "; there is more: do it once more"}`);
      done();
      close();
    } catch (refused) {
      setError(refused);
    } finally {
      setBusy(false);
    }
  };
  return html`<${Dialog} title="Flush: remove what has ended" close=${close}>
    <form onSubmit=${send}>
      <${What} filled=${filled} set=${set} />
      <p>${kind.about}</p>
      ${counted.error ? html`<${Problem} error=${counted.error} />` : html`<p role="status"><strong>${!counted.told ? "Counting …" : counted.told.number ? counted.told.words : "Nothing ended so long ago."}</strong></p>`}
      ${error && html`<${Problem} error=${error} />`}
      <${Elsewhere} cli=${kind.cli(filled)} curl=${curlLine("POST", kind.where, body)} />
      <div class="buttons"><button type="button" onClick=${close}>Leave it</button>
        <button class="danger" disabled=${busy || !counted.told || !counted.told.number || !may(kind.role)}>${busy ? "…" : "Remove for good"}</button></div>
    </form>
  <//>`;
}

function What({ filled, set }) {
  const choices = Object.entries(KINDS).filter(([, kind]) => may(kind.role));
  return html`<div class="fields">
    <div class="field"><label for="flush-kind">What</label>
      <select id="flush-kind" value=${filled.kind} onChange=${(event) => set({ kind: event.target.value })}>${choices.map(([name, kind]) => html`<option value=${name}>${kind.title}</option>`)}</select></div>
    <div class="field"><label for="flush-age">Ended before</label>
      <select id="flush-age" value=${filled.age} onChange=${(event) => set({ age: event.target.value })}>${AGES.map(([age, , text]) => html`<option value=${age}>${text}</option>`)}</select></div>
    ${filled.kind === "jobs" &&
    levels().length > 1 &&
    html`<div class="field"><label for="flush-level">Whose</label>
      <select id="flush-level" value=${filled.level} onChange=${(event) => set({ level: event.target.value })}>
        <option value="">All that I see</option>${levels().map(([name, text]) => html`<option value=${name}>${text}</option>`)}</select></div>`}
  </div>`;
}
