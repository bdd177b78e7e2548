// Who changed what: each record with what was before and after, and whether the log is as it was written.

import { html, useState } from "../lib.js";
import { get } from "../api.js";
import { count, many, pretty } from "../format.js";
import { useLiveLoaded } from "../load.js";
import { link, setQuery } from "../router.js";
import { Elsewhere, commandLine, curlLine } from "../parts/copy.js";
import { Card, Empty, Facts, Head, Loaded, Problem } from "../parts/page.js";
import { Pager, Table } from "../parts/table.js";
import { When } from "../parts/time.js";

const SIZE = 50;

/** CancelTask -> cancel task. */
const words = (action) => action.replace(/(?<=[a-z])(?=[A-Z])/g, " ").toLowerCase();

function Changed({ change }) {
  const names = [...new Set([...Object.keys(change.before ?? {}), ...Object.keys(change.after ?? {})])];
  if (names.length === 0) return null;
  const text = (value) => (value === undefined ? "–" : typeof value === "string" ? value : pretty(value));
  return html`<table class="small"><caption class="for-readers">What changed</caption>
    <thead><tr><th scope="col">Field</th><th scope="col">Before</th><th scope="col">After</th></tr></thead>
    <tbody>${names.map((name) => html`<tr><td>${name}</td><td class="anywhere mono">${text(change.before?.[name])}</td><td class="anywhere mono">${text(change.after?.[name])}</td></tr>`)}</tbody>
  </table>`;
}

const columns = [
  { label: "When", fit: true, cell: (row) => html`<${When} at=${row.at} />` },
  { label: "Who", fit: true, cell: (row) => html`<button class="plain small" title="Only this one" onClick=${() => setQuery({ actor: row.actor, offset: null })}>${row.actor}</button>` },
  { label: "What", lead: true, cell: (row) => html`<span class="name">${words(row.action)}</span>${row.taskId && html` <a class="small" href=${link("tasks", row.taskId)}>task</a>`}
      ${row.detail && html`<div class="small dim anywhere">${row.detail}</div>`}` },
  { label: "From", fit: true, cell: (row) => html`<span class="small dim">${[row.origin?.channel, row.origin?.address].filter(Boolean).join(", ")}</span>` },
  { label: "Change", cell: (row) => (row.change ? html`<details><summary>What changed</summary><${Changed} change=${row.change} /></details>` : null) },
  { label: "Record", number: true, fit: true, cell: (row) => html`<span class="small dim" title=${row.hash}>${count(row.number)}</span>` },
];

export function Page({ query }) {
  const offset = Number(query.offset ?? 0);
  const wanted = { task: query.task, actor: query.actor, action: query.action, since: query.since, until: query.until, offset, limit: SIZE };
  const found = useLiveLoaded((signal) => get("/audits", wanted, signal), [JSON.stringify(wanted)], (event) => event.kind === "task");
  const filtered = Object.keys(query).some((name) => name !== "offset");
  return html`
    <${Head} title="Audit" about="Every change: who, when, from where, what before and after. Records are chained: none can be altered or taken out unseen." />
    <${Proof} />
    <${Filters} query=${query} />
    <${Loaded} of=${found}>${(page) =>
      page.totalSize === 0
        ? html`<${Card}><${Empty} title=${filtered ? "No record fits." : "Nothing was changed yet."} action=${filtered && html`<a class="button" href=${link("audit")}>Show all</a>`} /><//>`
        : html`<${Card} flush name="Records">
            <${Table} caption="Records" columns=${columns} rows=${page.list} rowKey=${(row) => row.sequence} />
            <${Pager} offset=${offset} size=${SIZE} total=${page.totalSize} word="records" />
          <//>`}<//>`;
}

const FIELDS = [
  ["actor", "Who", "a name"],
  ["action", "What", "such as EditTask"],
  ["task", "Task", "an id, also of one that is gone"],
];

function Filters({ query }) {
  return html`<form class="filters" onSubmit=${(event) => event.preventDefault()}>
    ${FIELDS.map(([name, label, hint]) => html`<div class="field grow"><label for=${name}>${label}</label>
      <input id=${name} value=${query[name] ?? ""} placeholder=${hint} onChange=${(event) => setQuery({ [name]: event.target.value.trim(), offset: null })} /></div>`)}
  </form>`;
}

// Reading the whole chain is work: it is asked for.
function Proof() {
  const [told, setTold] = useState({});
  const look = async () => {
    setTold({ busy: true });
    try {
      setTold({ proof: await get("/audits/verify") });
    } catch (error) {
      setTold({ error });
    }
  };
  const { proof, error, busy } = told;
  return html`<${Card} title="Is the log as it was written?" aside=${html`<button class="small" disabled=${busy} onClick=${look}>${busy ? "Reading the chain …" : "Verify"}</button>`}>
    ${error && html`<${Problem} error=${error} />`}
    ${proof && (proof.intact
      ? html`<div class="note good" role="status"><strong>Intact:</strong> ${many(proof.records, "record")}, each with the hash of the one before.</div>`
      : html`<div class="note bad" role="alert"><strong>Not intact:</strong> ${proof.faults.map((fault) => html`<div class="anywhere">${typeof fault === "string" ? fault : pretty(fault)}</div>`)}</div>`)}
    ${proof && html`<${Facts} rows=${[["Seal", html`<span class="mono small">${proof.seal}</span>`]]} />
      <p class="small dim">Keep the seal elsewhere: a log that was cut at its end still verifies, but no longer contains it.</p>`}
    <${Elsewhere} cli=${commandLine("audit", "verify")} curl=${curlLine("GET", "/audits/verify")} />
  <//>`;
}
