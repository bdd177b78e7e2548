// The same for many tasks: how many it would be first, then what was done and what was refused.

import { html, useEffect, useState } from "../lib.js";
import { may, post } from "../api.js";
import { count, many, short } from "../format.js";
import { link } from "../router.js";
import { commandLine, curlLine, Elsewhere } from "./copy.js";
import { Dialog } from "./dialog.js";
import { Problem } from "./page.js";
import { say } from "./toast.js";

/** Tasks that the node changes in one request, at most. */
const MOST = 10_000;

export const BULK = [
  { action: "pause", label: "Pause", note: true, about: "They fire nothing until they are activated. What runs now runs on." },
  { action: "activate", label: "Activate", about: "They fire again from their next times on." },
  { action: "run", label: "Run now", about: "One execution of each beside its times." },
  { action: "retry", label: "Retry", about: "The last execution of each is tried once more, where it has failed." },
  { action: "resume", label: "Resume", about: "Those that are held after a crash go on from their checkpoints." },
  { action: "cancel", label: "Cancel", danger: true, about: "What runs is stopped, and they never fire again. Their records stay." },
  { action: "delete", label: "Delete for good", danger: true, sure: true, about: "They are removed with all their history. Nothing brings them back." },
];

const COMMANDS = { pause: "pause", activate: "activate", run: "run", retry: "retry", resume: "resume", cancel: "cancel", delete: "delete" };

/** Buttons for what was chosen. chosen: {tasks: ids} or {filter}; number: how many that are; done: called after a change; clear: choose none. */
export function BulkBar({ chosen, number, children, done, clear }) {
  const [open, setOpen] = useState(null);
  const allowed = may("operator");
  return html`<div class="bulk note" role="region" aria-label="What was chosen">
    <strong>${many(number, "task")} chosen</strong>${children}
    <span class="row">${BULK.map(
      (kind) => html`<button key=${kind.action} type="button" class=${`small ${kind.danger ? "danger" : ""}`} disabled=${!allowed} aria-haspopup="dialog"
        title=${allowed ? kind.about : "needs the role operator"} onClick=${() => setOpen(kind)}>${kind.label}</button>`,
    )}
    <button type="button" class="small plain" onClick=${clear}>Choose none</button></span>
    ${open && html`<${Question} kind=${open} chosen=${chosen} done=${done} close=${() => setOpen(null)} />`}
  </div>`;
}

/** What one request says; `most`: refused if more are meant, so that what was counted is what is changed. */
const bodyOf = (kind, chosen, note, more) => ({ action: kind.action, ...chosen, ...(kind.note && note ? { note } : {}), ...more });

function Question({ kind, chosen, done, close }) {
  const [counted, setCounted] = useState(null);
  const [answer, setAnswer] = useState(null);
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const [note, setNote] = useState("");
  const [sure, setSure] = useState(false);
  useEffect(() => {
    post("/bulk", bodyOf(kind, chosen, "", { dryRun: true, most: MOST })).then(setCounted, setError);
  }, []);
  const body = bodyOf(kind, chosen, note, { most: Math.max(1, counted?.matched ?? 1) });
  const send = async (event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      const told = await post("/bulk", body);
      done();
      if (told.refused.length || told.more) return setAnswer(told);
      say(`${kind.label}: ${many(told.done, "task")}`);
      close();
    } catch (refused) {
      setError(refused);
    } finally {
      setBusy(false);
    }
  };
  if (answer) return html`<${Told} kind=${kind} answer=${answer} close=${close} />`;
  const ready = counted && counted.matched > 0 && (!kind.sure || sure);
  return html`<${Dialog} title=${kind.label} close=${close}>
    <form onSubmit=${send}>
      <p role="status">${counted ? html`<strong>${many(counted.matched, "task")}.</strong> ` : error ? "" : "Counting … "}${kind.about}</p>
      ${counted?.refused.length > 0 && html`<${Refused} rows=${counted.refused} />`}
      ${kind.note && html`<div class="field"><label for="bulk-note">Note</label><textarea id="bulk-note" value=${note} onInput=${(event) => setNote(event.target.value)}></textarea>
        <span class="hint">Why; it is shown with the tasks, and in the audit log.</span></div>`}
      ${kind.sure && html`<label class="check"><input type="checkbox" checked=${sure} onChange=${() => setSure(!sure)} /> Yes, remove them and their history</label>`}
      ${error && html`<${Problem} error=${error} />`}
      <${Elsewhere} cli=${lines(kind, chosen, note)} curl=${curlLine("POST", "/bulk", body)} />
      <div class="buttons"><button type="button" onClick=${close}>Leave it</button>
        <button class=${kind.danger ? "danger" : "primary"} disabled=${!ready || busy}>${busy ? "…" : `${kind.label}${counted ? `: ${many(counted.matched, "task")}` : ""}`}</button></div>
    </form>
  <//>`;
}

/** Command lines for what was chosen by hand; what a filter chooses is only to be had as one request. */
function lines(kind, { tasks }, note) {
  const more = [...(kind.note && note ? ["--note", note] : []), ...(kind.sure ? ["--force"] : [])];
  return tasks?.map((id) => commandLine("task", COMMANDS[kind.action], id, ...more)).join("\n");
}

function Told({ kind, answer, close }) {
  return html`<${Dialog} title=${`${kind.label}: ${count(answer.done)} of ${many(answer.matched, "task")}`} close=${close}>
    ${answer.more && html`<p>Not all were come to in time: do the same once more for the rest.</p>`}
    <${Refused} rows=${answer.refused} />
    <div class="buttons"><button type="button" class="primary" onClick=${close}>Done</button></div>
  <//>`;
}

export function Refused({ rows }) {
  if (!rows.length) return null;
  return html`<h3>${count(rows.length)} refused</h3>
    <ul class="refused">${rows.map(
      (row) => html`<li key=${row.task}><a href=${link("tasks", row.task)} dir="auto">${row.name ?? short(row.task)}</a>
        <div class="small dim anywhere">${row.message}</div></li>`,
    )}</ul>`;
}
