// All tasks: found, sorted and filtered by the address, with what became of the last times of each beside it.

import { html, useState } from "../lib.js";
import { get } from "../api.js";
import { count } from "../format.js";
import { useLiveLoaded, useLoaded } from "../load.js";
import { link, setQuery } from "../router.js";
import { STATUSES, word } from "../states.js";
import { Card, Empty, Head, Loaded } from "../parts/page.js";
import { State, Strip } from "../parts/state.js";
import { Pager, Table } from "../parts/table.js";
import { PauseOrActivate, RunNow, taskLink, taskName } from "../parts/tasks.js";
import { When } from "../parts/time.js";

const SIZE = 50;

const columns = (recent, again) => [
  { label: "Task", sort: "name", lead: true, cell: (task) => html`<a class="name" href=${taskLink(task)}>${taskName(task)}</a><div class="tiny dim truncate">${task.taskType}</div>` },
  { label: "Status", sort: "status", fit: true, cell: (task) => html`<${State} name=${task.paused ? "PAUSED" : task.status} />` },
  { label: "Last times", fit: true, cell: (task) => html`<${Strip} rows=${recent?.[task.itemId]} />` },
  { label: "Next", sort: "nextScheduledExecution", fit: true, cell: (task) => html`<${When} at=${task.nextScheduledExecution} />` },
  { label: "Last", sort: "lastExecutionDate", fit: true, cell: (task) => html`<${When} at=${task.lastExecutionDate} />` },
  { label: "Failures", sort: "failureCount", number: true, fit: true, cell: (task) => count(task.failureCount) },
  { label: "Kept in", fit: true, cell: (task) => html`<span class="small dim">${task.persistent ? "Storage" : "Memory"}</span>` },
  { label: "", fit: true, cell: (task) => html`<span class="row tight"><${RunNow} small plain task=${task} done=${again} /><${PauseOrActivate} small plain task=${task} done=${again} /></span>` },
];

export function Page({ query }) {
  const offset = Number(query.offset ?? 0);
  const wanted = { status: query.status, type: query.type, text: query.text, sortBy: query.sortBy, offset, limit: SIZE };
  const tasks = useLiveLoaded((signal) => get("/tasks", wanted, signal), [JSON.stringify(wanted)], (event) => event.kind === "execution" || event.kind === "task");
  const counts = useLoaded((signal) => get("/counts", {}, signal), []);
  const filtered = query.status || query.type || query.text;
  return html`
    <${Head} title="Tasks" actions=${html`<a class="button primary" href=${link("new")}>New task</a>`} />
    <${Filters} query=${query} counts=${counts.data} />
    <${Loaded} of=${tasks}>${(page) =>
      page.totalSize === 0
        ? html`<${Card}>${filtered ? html`<${NoMatch} />` : html`<${NoTasks} />`}<//>`
        : html`<${Card} flush name="Tasks">
            <${Table} caption="Tasks" columns=${columns(null, tasks.again)} rows=${page.list} rowKey=${(task) => task.itemId} sortBy=${query.sortBy} />
            <${Pager} offset=${offset} size=${SIZE} total=${page.totalSize} word="tasks" />
          <//>`}
    <//>`;
}

function Filters({ query, counts }) {
  const [text, setText] = useState(query.text ?? "");
  const change = (changes) => setQuery({ ...changes, offset: null });
  const find = (event) => {
    event.preventDefault();
    change({ text: text.trim() });
  };
  return html`<form class="filters" onSubmit=${find}>
    <div class="field grow"><label for="text">Name</label>
      <input id="text" type="search" value=${text} onInput=${(event) => setText(event.target.value)} onBlur=${find} placeholder="a part of the name" /></div>
    <div class="field"><label for="status">Status</label>
      <select id="status" value=${query.status ?? ""} onChange=${(event) => change({ status: event.target.value })}>
        <option value="">All</option>
        ${STATUSES.map((name) => html`<option value=${name}>${word(name)}${counts?.byStatus?.[name] ? ` (${count(counts.byStatus[name])})` : ""}</option>`)}
      </select></div>
    <div class="field"><label for="type">Type</label>
      <input id="type" value=${query.type ?? ""} onChange=${(event) => change({ type: event.target.value.trim() })} placeholder="a task type" /></div>
  </form>`;
}

const NoMatch = () =>
  html`<${Empty} title="No task fits." action=${html`<button onClick=${() => setQuery({ status: null, type: null, text: null, offset: null })}>Show all</button>`} />`;

const NoTasks = () =>
  html`<${Empty} title="No tasks yet." command="tocsin task add hello --every 10s -- echo hello" action=${html`<a class="button primary" href=${link("new")}>New task</a>`}>
    A task says what to run and when. Make one here, or on the command line:<//>`;
