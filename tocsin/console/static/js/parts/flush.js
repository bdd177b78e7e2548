// Removing what has ended: how much that is first.

import { html, useEffect, useState } from "../lib.js";
import { may, post } from "../api.js";
import { many } from "../format.js";
import { commandLine, curlLine, Elsewhere } from "./copy.js";
import { Dialog } from "./dialog.js";
import { Problem } from "./page.js";
import { levels } from "./task_filters.js";
import { say } from "./toast.js";

const AGES = [
  ["1h", "an hour ago"],
  ["1d", "a day ago"],
  ["7d", "a week ago"],
  ["30d", "30 days ago"],
  ["90d", "90 days ago"],
];

const KINDS = {
  jobs: {
    title: "Jobs of outside workers",
    about: "Removes the jobs of workers that have ended, and their tasks that fire no more.",
    where: "/queue/flush",
    role: "operator",
    body: ({ level, age }) => ({ ...(level ? { level } : {}), olderThan: age }),
    cli: ({ level, age }) => commandLine("queue", "flush", ...(level ? ["--level", level] : []), "--older-than", age),
    said: (told) => `Removed: ${many(told.tasks, "task")}, ${many(told.jobs, "job")}`,
    count: (told) => ("tasks" in told ? `${many(told.tasks, "task")} and ${many(told.jobs, "job")} fit.` : `${many(told.matched, "job")} fit.`),
  },
  history: {
    title: "History of all tasks",
    about: "Removes executions that have ended, with their logs, and what the ledger has from before; tasks that go on stay.",
    where: "/purge",
    role: "administrator",
    body: ({ age }) => ({ olderThan: age }),
    cli: ({ age }) => commandLine("purge", "--older-than", age),
    said: (told) => `Removed: ${many(told.removed, "row")}`,
    count: (told) => `${many(told.removed ?? told.matched, "row")} fit.`,
  },
};

/** A button that removes what has ended; `done` is called after it. */
export function Flush({ done }) {
  const [open, setOpen] = useState(false);
  return html`<button type="button" disabled=${!may("operator")} title=${may("operator") ? undefined : "needs the role operator"} aria-haspopup="dialog" onClick=${() => setOpen(true)}>Flush</button>
    ${open && html`<${Question} done=${done} close=${() => setOpen(false)} />`}`;
}

/** How many rows a removal would take: {told} or {error}; neither while it is counted. */
function useCount(kind, body) {
  const [counted, setCounted] = useState({});
  useEffect(() => {
    let newest = true;
    setCounted({});
    post(kind.where, { ...body, dryRun: true }).then(
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
      ${counted.error ? html`<${Problem} error=${counted.error} />` : html`<p role="status"><strong>${counted.told ? kind.count(counted.told) : "Counting …"}</strong></p>`}
      ${error && html`<${Problem} error=${error} />`}
      <${Elsewhere} cli=${kind.cli(filled)} curl=${curlLine("POST", kind.where, body)} />
      <div class="buttons"><button type="button" onClick=${close}>Leave it</button>
        <button class="danger" disabled=${busy || !counted.told || !may(kind.role)}>${busy ? "…" : "Remove for good"}</button></div>
    </form>
  <//>`;
}

function What({ filled, set }) {
  const choices = Object.entries(KINDS).filter(([, kind]) => may(kind.role));
  return html`<div class="fields">
    <div class="field"><label for="flush-kind">What</label>
      <select id="flush-kind" value=${filled.kind} onChange=${(event) => set({ kind: event.target.value })}>${choices.map(([name, kind]) => html`<option value=${name}>${kind.title}</option>`)}</select></div>
    <div class="field"><label for="flush-age">Ended before</label>
      <select id="flush-age" value=${filled.age} onChange=${(event) => set({ age: event.target.value })}>${AGES.map(([age, text]) => html`<option value=${age}>${text}</option>`)}</select></div>
    ${filled.kind === "jobs" &&
    levels().length > 1 &&
    html`<div class="field"><label for="flush-level">Whose</label>
      <select id="flush-level" value=${filled.level} onChange=${(event) => set({ level: event.target.value })}>
        <option value="">All that I see</option>${levels().map(([name, text]) => html`<option value=${name}>${text}</option>`)}</select></div>`}
  </div>`;
}
