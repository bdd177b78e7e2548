// All tasks: found, sorted and filtered by the address, with what became of the last times of each beside it, and what to do with many.

import { html, useEffect, useMemo, useState } from "../lib.js";
import { get, session } from "../api.js";
import { useLive } from "../live.js";
import { useLoaded } from "../load.js";
import { link, setQuery } from "../router.js";
import { useStore } from "../store.js";
import { BulkBar } from "../parts/bulk.js";
import { ChooseColumns, chosenColumns, columnSetting } from "../parts/columns.js";
import { useFailures } from "../parts/failures.js";
import { Flush } from "../parts/flush.js";
import { squaresAfter, taskAfter, useRowsAfter } from "../parts/live_rows.js";
import { Card, Empty, Head, Loaded } from "../parts/page.js";
import { Pager, Table } from "../parts/table.js";
import { taskColumns } from "../parts/task_columns.js";
import { bulkFilterOf, FILTERS, filterOf, Filters } from "../parts/task_filters.js";
import { taskName } from "../parts/tasks.js";
import { count } from "../format.js";

const SIZE = 50;

/** Squares of each row. */
const SQUARES = 20;

const columnsShown = columnSetting("tasks");

const idOf = (event) => event.task?.itemId;
const keyOf = (task) => task.itemId;

export function Page({ query }) {
  const offset = Number(query.offset ?? 0);
  const wanted = { ...filterOf(query), sortBy: query.sortBy, offset, limit: SIZE };
  const tasks = useLoaded((signal) => get("/tasks", wanted, signal), [JSON.stringify(wanted)]);
  const counts = useLoaded((signal) => get("/counts", {}, signal), []);
  const again = () => {
    tasks.again();
    counts.again();
  };
  const choice = useChoice(JSON.stringify(filterOf(query)));
  const filtered = FILTERS.some((name) => query[name]);
  return html`
    <${Head} title="Tasks" actions=${html`<${Flush} done=${again} /><a class="button primary" href=${link("new")}>New task</a>`} />
    <${Filters} query=${query} counts=${counts.data} />
    <${Loaded} of=${tasks}>${(page) =>
      page.totalSize === 0
        ? html`<${Card}>${filtered ? html`<${NoMatch} />` : html`<${NoTasks} />`}<//>`
        : html`<${Unreachable} nodes=${page.unreachable} />
            ${choice.number(page) > 0 && html`<${Chosen} page=${page} query=${query} choice=${choice} done=${again} />`}
            <${Card} flush name="Tasks"><${Rows} ...${{ page, tasks, query, offset, choice, again }} /><//>`}
    <//>`;
}

/** Tasks that were chosen: by their ids, or all that fit the filter. They are forgotten with the filter. */
function useChoice(filter) {
  const [ids, setIds] = useState(new Set());
  const [all, setAll] = useState(false);
  const clear = () => {
    setIds(new Set());
    setAll(false);
  };
  useEffect(clear, [filter]);
  const turn = (changed, on) => {
    setAll(false);
    const next = new Set(ids);
    for (const id of changed) on(id) ? next.add(id) : next.delete(id);
    setIds(next);
  };
  return {
    all,
    clear,
    takeAll: () => setAll(true),
    number: (page) => (all ? page.totalSize : ids.size),
    has: (id) => all || ids.has(id),
    choose: (id) => turn([id], (one) => !ids.has(one)),
    choosePage: (rows) => (were) => turn(rows.map(keyOf), () => !were),
    ids,
  };
}

function Chosen({ page, query, choice, done }) {
  const { all, ids } = choice;
  const whole = !all && page.totalSize > page.list.length && page.list.every((task) => ids.has(task.itemId));
  const chosen = all ? { filter: bulkFilterOf(query) } : { tasks: [...ids] };
  return html`<${BulkBar} chosen=${chosen} number=${choice.number(page)} done=${done} clear=${choice.clear}>
    ${whole && html`<button type="button" class="small" onClick=${choice.takeAll}>Choose all ${count(page.totalSize)} that fit this filter</button>`}
    ${all && html`<span class="small dim">all that fit this filter; the system's own stay as they are</span>`}
  <//>`;
}

/** The newest squares of each task of a page, which follow events; the node is asked once for all of them. */
function useRecent(rows) {
  const ids = rows.map(keyOf).join();
  const [known, setKnown] = useState({});
  const recent = useLoaded((signal) => (ids ? get("/recent", { tasks: ids, count: SQUARES }, signal) : { list: [] }), [ids]);
  useEffect(() => {
    if (recent.data) setKnown(Object.fromEntries(recent.data.list.map((one) => [one.taskId, one.outcomes])));
  }, [recent.data]);
  useLive((batch) => {
    const told = batch.filter((event) => event.kind === "execution" && known[idOf(event)]);
    if (told.length) {
      const next = { ...known };
      for (const event of told) next[idOf(event)] = squaresAfter(next[idOf(event)], event, SQUARES);
      setKnown(next);
    }
    if (batch.some((event) => event.kind === "slots" || event.kind === "gap" || event.kind === "again")) recent.again();
  });
  return (task) => known[task.itemId];
}

function Rows({ page, tasks, query, offset, choice, again }) {
  const after = useRowsAfter({ loaded: tasks, page, rows: page.list, keyOf, idOf, after: taskAfter });
  const rows = page.list.map(after.row);
  const recent = useRecent(page.list);
  const last = useFailures(rows);
  const names = useStore(columnsShown);
  const whose = session.get().tenant === null && rows.some((task) => task.tenant);
  const columns = taskColumns({ recent, progress: after.progress, last, again, whose });
  const shown = useMemo(() => new Set(page.list.map(keyOf).filter(choice.has)), [page, choice.all, choice.ids]);
  return html`
    <${Table} caption="Tasks" columns=${chosenColumns(columns, names)} rows=${rows} rowKey=${keyOf} rowName=${taskName} sortBy=${query.sortBy}
      chosen=${shown} choose=${choice.choose} chooseAll=${choice.choosePage(page.list)} />
    <div class="row spread"><${Pager} offset=${offset} size=${SIZE} total=${page.totalSize} word="tasks" /><${ChooseColumns} columns=${columns.filter((one) => one.label)} setting=${columnsShown} /></div>`;
}

/** In a cluster: those whose tasks in memory could not be asked for. */
const Unreachable = ({ nodes }) =>
  nodes?.length > 0 && html`<div class="note warn">The tasks in memory of ${nodes.join(", ")} are not among these: ${nodes.length === 1 ? "it does" : "they do"} not answer.</div>`;

const NoMatch = () =>
  html`<${Empty} title="No task fits." action=${html`<button onClick=${() => setQuery({ ...Object.fromEntries(FILTERS.map((name) => [name, null])), offset: null })}>Show all</button>`} />`;

const NoTasks = () =>
  html`<${Empty} title="No tasks yet." command="tocsin task add hello --every 10s -- echo hello" action=${html`<a class="button primary" href=${link("new")}>New task</a>`}>
    A task says what to run and when. Make one here, or on the command line:<//>`;
