// Spreading what crowds into one minute: a proposal first, then the difference, then the change.

import { html, useState } from "../lib.js";
import { post } from "../api.js";
import { count, many } from "../format.js";
import { go, link, setQuery } from "../router.js";
import { Action } from "./action.js";
import { commandLine, CopyButton, curlLine, Elsewhere } from "./copy.js";
import { Problem } from "./page.js";
import { Table } from "./table.js";
import { triggerWords } from "./trigger_words.js";

const WITHIN = ["2m", "5m", "10m", "30m", "1h"];

/** Where the page that applies files looks for the first text of it. */
const HANDED_ON = "tocsin.plan";

/** Rows of a proposal that are shown before one asks for all. */
const FEW = 10;

const COLUMNS = [
  { label: "Task", lead: true, cell: (one) => html`<a class="name" href=${link("tasks", one.taskId)}>${one.task ?? one.taskId}</a>` },
  { label: "Now", fit: true, cell: (one) => html`<code class="small">${triggerWords(one.before)}</code>` },
  { label: "Then", cell: (one) => html`<span class="small anywhere">${one.words}</span>` },
  { label: "Moves", fit: true, cell: (one) => html`<span class="small">${one.moves}</span>` },
];

/** minute: an instant. within: how far each may move. done: called when it was applied. */
export function Spread({ minute, within, done }) {
  const [state, setState] = useState(null);
  const [busy, setBusy] = useState(false);
  const body = { minute, within };
  const propose = async () => {
    setBusy(true);
    setState(await post("/load/spread", body).then((found) => ({ found }), (error) => ({ error })));
    setBusy(false);
  };
  return html`<div class="stack">
    <div class="row"><label class="spread-within small" for="within">Each may start later by at most
      <select id="within" value=${within} onChange=${(event) => (setQuery({ within: event.target.value === "10m" ? null : event.target.value }), setState(null))}>${WITHIN.map((one) => html`<option value=${one}>${one}</option>`)}</select></label>
      <button disabled=${busy} onClick=${propose}>${busy ? "Thinking …" : "Spread these"}</button>
      <span class="small dim">A proposal: nothing is changed yet.</span></div>
    ${state?.error && html`<${Problem} error=${state.error} again=${propose} />`}
    ${state?.found && html`<${Proposal} found=${state.found} done=${done} />`}
    <${Elsewhere} curl=${curlLine("POST", "/load/spread", body)} />
  </div>`;
}

function handOn(text) {
  sessionStorage.setItem(HANDED_ON, text);
  go(link("plan"));
}

function Proposal({ found, done }) {
  const { proposals, left, files, worstBefore, worstAfter } = found;
  const [all, setAll] = useState(false);
  if (!proposals.length) return html`<div class="note" role="status"><strong>None of them can be moved.</strong><${Left} left=${left} /></div>`;
  return html`<section class="stack" aria-label="Proposal">
    <p role="status"><strong>The worst minute falls from ${count(worstBefore)} to ${count(worstAfter)}</strong> if ${many(proposals.length, "task")} ${proposals.length === 1 ? "moves" : "move"}.</p>
    ${found.truncated && html`<div class="note warn"><strong>Not all was looked at:</strong> ${found.truncated}</div>`}
    <div class="row">
      <button class="primary" onClick=${() => handOn(files[0].text)}>Look at the difference first</button>
      <${Action} label="Apply" title=${`Change ${many(proposals.length, "trigger")}`} where="/apply" body=${{ files }} cli=${commandLine("apply", files[0].name)} role="operator"
        about="Each of these tasks gets its new trigger. What came due before is settled under the old one; no time is fired twice." said="Applied: the load is spread" done=${done} />
      <${CopyButton} text=${files[0].text} label="Copy as a file" />
    </div>
    <${Table} caption="Proposed changes" columns=${COLUMNS} rows=${all ? proposals : proposals.slice(0, FEW)} rowKey=${(one) => one.taskId} />
    ${!all && proposals.length > FEW && html`<div><button class="small" onClick=${() => setAll(true)}>Show all ${count(proposals.length)}</button></div>`}
    <${Left} left=${left} />
  </section>`;
}

const Left = ({ left }) =>
  left.length > 0 && html`<details><summary>${many(left.length, "task stays as it is", "tasks stay as they are")}</summary><ul class="plain-list">${left.map((one) => html`<li key=${one.taskId} class="small"><a href=${link("tasks", one.taskId)}>${one.task ?? one.taskId}</a>: ${one.why}</li>`)}</ul></details>`;
