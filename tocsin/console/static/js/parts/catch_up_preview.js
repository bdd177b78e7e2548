// What would become of what is overdue, if it were decided now. Nothing is changed by looking.

import { html } from "../lib.js";
import { post } from "../api.js";
import { useEvery } from "../every.js";
import { count, many } from "../format.js";
import { useLoaded } from "../load.js";
import { link, setQuery } from "../router.js";
import { looks } from "../states.js";
import { Sign } from "./bar.js";
import { curlLine, Elsewhere } from "./copy.js";
import { Card, Empty, Loaded } from "./page.js";
import { Table } from "./table.js";
import { When } from "./time.js";

/** Said in the address for all tasks that are overdue. */
export const ALL = "all";

/** Milliseconds between two looks: each decides anew about every task. */
const LOOK = 5_000;

/** The outcomes as signs with their numbers. */
function Unrun({ outcomes }) {
  const rows = Object.entries(outcomes).sort(([, a], [, b]) => b - a);
  if (!rows.length) return html`<span class="dim">–</span>`;
  return html`<span>${rows.map(([name, number]) => {
    const { look, sign, about } = looks(name);
    return html`<${Sign} key=${name} look=${look} sign=${sign} title=${about}>${count(number)} ${name}<//> `;
  })}</span>`;
}

const COLUMNS = [
  { label: "Task", lead: true, cell: (one) => html`<a class="name" href=${link("tasks", one.taskId)}>${one.task ?? one.taskId}</a>` },
  { label: "Policy", fit: true, cell: (one) => html`<code>${one.policy}</code>` },
  { label: "Times", cell: (one) => html`<span>${one.owed === null ? "too many to count" : count(one.owed)}<span class="tiny dim"> from <${When} at=${one.first} />${one.last !== one.first && html` to <${When} at=${one.last} />`}</span></span>` },
  { label: "Would run", number: true, cell: (one) => html`${count(one.runs)}${!one.complete && html`<span class="tiny dim" title="more is decided as these start"> at first</span>`}` },
  { label: "Would not", cell: (one) => html`<${Unrun} outcomes=${one.outcomes} />` },
];

/** All outcomes of some rows, added up. */
function summed(list) {
  const sums = {};
  for (const { outcomes } of list) for (const [name, number] of Object.entries(outcomes)) sums[name] = (sums[name] ?? 0) + number;
  return sums;
}

/** The card. of: ALL, or the id of one task. */
export function Preview({ of }) {
  const body = of === ALL ? {} : { tasks: [of] };
  const loaded = useLoaded(() => post("/catchup/preview", body), [of]);
  useEvery(LOOK, loaded.again);
  return html`<${Card} flush title=${of === ALL ? "Preview: all that is overdue" : "Preview: one task"} aside=${html`<button type="button" class="small plain" onClick=${() => setQuery({ preview: null })}>Close</button>`}>
    <${Loaded} of=${loaded}>${({ list, runs, more }) => list.length === 0
      ? html`<${Empty} title="Nothing is overdue.">Nothing would be decided now. What waits for its turn has been decided already.<//>`
      : html`<p class="card-foot" role="status"><strong>If it were decided now, ${many(runs, "execution")} would run.</strong> Would not: <${Unrun} outcomes=${summed(list)} /></p>
        <${Table} caption="What would become of what is overdue" columns=${COLUMNS} rows=${list} rowKey=${(one) => one.taskId} />
        ${more && html`<p class="small dim card-foot">There are more tasks than these.</p>`}`}<//>
    <div class="card-foot"><${Elsewhere} curl=${curlLine("POST", "/catchup/preview", body)} /></div>
  <//>`;
}
