// What ran and runs, over all tasks: what is open first, then what ended, the last first.

import { html, useEffect, useRef, useState } from "../lib.js";
import { get } from "../api.js";
import { count, duration, full, many, short } from "../format.js";
import { useLive } from "../live.js";
import { useLoaded } from "../load.js";
import { link, setQuery } from "../router.js";
import { executionLink, failureLine, isOpen, lateness, Took, Waits } from "../parts/executions.js";
import { Filters, fits, wantedOf } from "../parts/execution_filters.js";
import { useRowsAfter } from "../parts/live_rows.js";
import { Card, Empty, Head, Loaded } from "../parts/page.js";
import { Progress } from "../parts/progress.js";
import { State } from "../parts/state.js";
import { Table } from "../parts/table.js";
import { When } from "../parts/time.js";

const SIZE = 50;

/** Below so many milliseconds nobody would call it late. */
const LATE = 1_000;

const keyOf = (execution) => execution.id;
const idOf = (event) => event.execution?.id;
const after = (execution, event) => ({ ...execution, ...event.execution });

const filtersOf = ({ follow: _, ...filters }) => filters;

export function Page({ query }) {
  const wanted = JSON.stringify(filtersOf(query));
  const executions = useLoaded((signal) => get("/executions", { ...wantedOf(query, Date.now()), limit: SIZE }, signal), [wanted]);
  return html`
    <${Head} title="Executions" about="What runs, waits and is held, and what ended: over all tasks." />
    <${Filters} query=${query} />
    <${Loaded} of=${executions}>${(page) => html`<${Card} flush name="Executions">
      <${Newer} ...${{ query, page, executions }} />
      ${page.list.length === 0 ? html`<${Nothing} query=${query} />` : html`<${Rows} page=${page} executions=${executions} />`}
      <${Ways} page=${page} query=${query} />
    <//>`}<//>`;
}

/** How many executions there are by now that are not shown, and whether they come by themselves. */
function Newer({ query, page, executions }) {
  const [fresh, setFresh] = useState(new Set());
  const shown = useRef(new Set());
  useEffect(() => {
    shown.current = new Set(page.list.map(keyOf));
    setFresh(new Set());
  }, [page]);
  useLive((batch) => {
    const ids = batch.filter((event) => event.kind === "execution" && !shown.current.has(idOf(event)) && fits(query, event)).map(idOf);
    if (!ids.length) return;
    if (query.follow) executions.again();
    else setFresh((before) => new Set([...before, ...ids]));
  });
  const past = query.until || Number(query.offset ?? 0) > 0;
  if (past) return null;
  return html`<div class="row newer">
    <label class="check small"><input type="checkbox" checked=${Boolean(query.follow)} onChange=${() => setQuery({ follow: query.follow ? null : 1 })} /> Follow: new ones come by themselves</label>
    <span role="status">${fresh.size > 0 && html`<button type="button" class="small primary" onClick=${executions.again}>${count(fresh.size)} new: show</button>`}</span>
  </div>`;
}

const columns = (progress) => [
  { label: "Task", lead: true, cell: (execution) => html`<${Name} execution=${execution} progress=${progress(execution)} />` },
  { label: "State", fit: true, cell: (execution) => html`<${State} name=${execution.state} />` },
  { label: "Nominal", fit: true, cell: (execution) => html`<${Nominal} execution=${execution} />` },
  { label: "Started", fit: true, cell: (execution) => html`<${When} at=${execution.startedAt} fine />` },
  { label: "Took", fit: true, number: true, cell: (execution) => html`<${Took} execution=${execution} />` },
  { label: "Try", fit: true, number: true, cell: (execution) => execution.attempt || "" },
  { label: "Node", fit: true, cell: (execution) => html`<span class="small">${execution.node ?? "–"}</span>` },
];

function Name({ execution, progress }) {
  return html`<a class="name" dir="auto" href=${executionLink(execution)}>${execution.task}</a>
    <div class="tiny dim truncate"><a href=${link("tasks", execution.taskId)}>the task</a> · ${execution.taskType} · ${short(execution.id)}</div>
    ${execution.state === "RUNNING" && progress && html`<${Progress} brief progress=${progress} />`}
    ${execution.failure && html`<div class="tiny fact-bad truncate" title=${execution.failure.message}>${failureLine(execution.failure)}</div>`}
    ${execution.state === "WAITING" && html`<div class="tiny dim"><${Waits} execution=${execution} /></div>`}`;
}

function Nominal({ execution }) {
  const late = lateness(execution);
  if (!execution.nominal) return html`<span class="small dim">by hand (${execution.channel})</span>`;
  return html`<${When} at=${execution.nominal} />${late > LATE && html` <span class="chip warm" title="from its time to its start">${duration(late)} late</span>`}`;
}

function Rows({ page, executions }) {
  const changed = useRowsAfter({ loaded: HEAD_STAYS, page, rows: page.list, keyOf, idOf, after });
  const gap = useRef(executions);
  gap.current = executions;
  useLive((batch) => batch.some((event) => event.kind === "gap" || event.kind === "again") && gap.current.again());
  return html`<${Table} caption="Executions" columns=${columns(changed.progress)} rows=${page.list.map(changed.row)} rowKey=${keyOf} />`;
}

/** Rows change where they stand, but the list stays until somebody asks for what is new: nothing moves under who reads. */
const HEAD_STAYS = { again: () => {} };

function Ways({ page, query }) {
  const offset = Number(query.offset ?? 0);
  const open = page.list.filter(isOpen).length;
  return html`<nav class="pager" aria-label="Pages">
    <span>${many(page.list.length, "execution")}${open > 0 && `, ${count(open)} open`}${offset > 0 && `, after ${count(offset)} others`}</span>
    ${offset > 0 && html`<button class="small" onClick=${() => setQuery({ offset: offset > SIZE ? offset - SIZE : null }, { replace: false })}>Before these</button>`}
    ${page.more && !page.reached && html`<button class="small" onClick=${() => setQuery({ offset: offset + SIZE }, { replace: false })}>After these</button>`}
    ${page.reached &&
    html`<span>Looked back to ${full(page.reached)}.</span>
      <button class="small" onClick=${() => setQuery({ until: page.reached, since: wantedOf(query, Date.now()).since, last: null, offset: null }, { replace: false })}>Look further back</button>`}
  </nav>`;
}

function Nothing({ query }) {
  const filtered = ["state", "type", "task", "node"].some((name) => query[name]);
  if (filtered) {
    return html`<${Empty} title="No execution fits." action=${html`<button onClick=${() => setQuery({ state: null, type: null, task: null, node: null, offset: null })}>Show all of this time</button>`}>
      Perhaps it ended before the time that is looked at: choose a longer one above.<//>`;
  }
  return html`<${Empty} title="Nothing ran in this time." command="tocsin task run NAME">An execution is the work for one time of a task. Run a task now, or wait for its next time:<//>`;
}
