// Dropping what waits for the governor: how many executions that are first, then what was dropped and what was refused.

import { html, useEffect, useState } from "../lib.js";
import { may, post } from "../api.js";
import { count, many } from "../format.js";
import { Refused } from "./bulk.js";
import { curlLine, Elsewhere } from "./copy.js";
import { Dialog } from "./dialog.js";
import { Problem } from "./page.js";
import { say } from "./toast.js";

/** A button. tasks: ids. done: called after a change. */
export function Discard({ tasks, label = "Discard", title, small, done }) {
  const [open, setOpen] = useState(null);
  const allowed = may("operator");
  const why = allowed ? (tasks.length ? undefined : "choose tasks first") : "needs the role operator";
  return html`<button type="button" class=${`danger${small ? " small" : ""}`} disabled=${!allowed || !tasks.length} title=${why} aria-haspopup="dialog" onClick=${() => setOpen(tasks)}>${label}</button>
    ${open && html`<${Question} tasks=${open} title=${title} done=${done} close=${() => setOpen(null)} />`}`;
}

function Question({ tasks, title, done, close }) {
  const [counted, setCounted] = useState(null);
  const [answer, setAnswer] = useState(null);
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    post("/catchup/discard", { tasks, dryRun: true }).then(setCounted, setError);
  }, []);
  const finish = () => (close(), done());
  const send = async (event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      const told = await post("/catchup/discard", { tasks });
      if (told.refused.length || told.more) return setAnswer(told);
      say(`${many(told.discarded, "execution")} discarded`);
      finish();
    } catch (refused) {
      setError(refused);
    } finally {
      setBusy(false);
    }
  };
  if (answer) return html`<${Told} answer=${answer} close=${finish} />`;
  return html`<${Dialog} title=${title} close=${close}>
    <form onSubmit=${send}>
      <p role="status">${counted ? html`<strong>${many(counted.matched, "execution")}${counted.more ? ", and more" : ""}.</strong> ` : error ? "" : "Counting … "}They will not start; their times are kept as skipped, with you in the audit log.
        Times to come are not touched. It cannot be undone, but a task can be run by hand.</p>
      ${error && html`<${Problem} error=${error} />`}
      <${Elsewhere} curl=${curlLine("POST", "/catchup/discard", { tasks })} />
      <div class="buttons"><button type="button" onClick=${close}>Leave it</button>
        <button class="danger" disabled=${!counted?.matched || busy}>${busy ? "…" : `Discard${counted ? `: ${many(counted.matched, "execution")}` : ""}`}</button></div>
    </form>
  <//>`;
}

function Told({ answer, close }) {
  return html`<${Dialog} title=${`Discarded: ${count(answer.discarded)} of ${many(answer.matched, "execution")}`} close=${close}>
    ${answer.more && html`<p>Not all were come to: do the same once more for the rest.</p>`}
    <${Refused} rows=${answer.refused} />
    <div class="buttons"><button type="button" class="primary" onClick=${close}>Done</button></div>
  <//>`;
}
