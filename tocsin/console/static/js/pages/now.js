// What was, what is and what comes, on one axis.

import { html, useEffect, useMemo, useState } from "../lib.js";
import { get } from "../api.js";
import { count, duration, many, millis, useNow } from "../format.js";
import { isBroken, useLive } from "../live.js";
import { useLoaded, useLiveLoaded } from "../load.js";
import { link, setQuery } from "../router.js";
import { Timeline } from "../timeline_model.js";
import { Card, Empty, Head, Loaded, Tile } from "../parts/page.js";
import { State } from "../parts/state.js";
import { When } from "../parts/time.js";
import { TimeAxis } from "../parts/timeline.js";

const SPANS = [
  ["2m", 120_000],
  ["10m", 600_000],
  ["1h", 3_600_000],
  ["6h", 21_600_000],
];

const LIST = 8;

/** Milliseconds between two readings of the whole past because of a gap: where more happens than is told there is one each second. */
const GAPS = 15_000;

const iso = (at) => new Date(at).toISOString();

export function Page({ query }) {
  const [spanName, span] = SPANS.find(([name]) => name === query.span) ?? SPANS[1];
  const model = useMemo(() => new Timeline(), [span]);
  const past = useLoaded((signal) => get("/executions", { since: iso(Date.now() - span * 0.6), limit: 1_000 }, signal).then((found) => kept(model, found, span)), [span], GAPS);
  const coming = useLoaded(
    (signal) => get("/upcoming", { until: iso(Date.now() + span * 0.6), limit: 1_000, each: 200 }, signal).then((found) => {
      model.expect(found.list);
      return found;
    }),
    [span],
  );
  const nodes = useLiveLoaded((signal) => get("/nodes", {}, signal), [], (event) => event.kind === "node");
  const counts = useLiveLoaded((signal) => get("/counts", {}, signal), [], (event) => event.kind === "execution");
  const open = useLiveLoaded((signal) => get("/executions", { state: "OPEN", limit: 50 }, signal), [], (event) => event.kind === "execution");
  useLive((batch) => {
    if (isBroken(batch)) past.again();
    if (batch.some((event) => event.kind === "task" || event.kind === "again")) coming.again();
    for (const event of batch) if (event.kind === "execution") model.put(event.execution, event.task.name ?? event.task.taskType);
    model.prune(Date.now() - span);
  });
  useRenewed(coming, span);
  const names = (nodes.data?.list ?? []).filter((node) => node.state === "alive").map((node) => node.name);
  return html`
    <${Head} title="Now" about=${wordsOf(counts.data, names)} actions=${html`<${Spans} chosen=${spanName} />`} />
    <${Paused} />
    <${Tiles} counts=${counts.data} open=${open.data} coming=${coming.data} />
    <${Card} flush name="The time axis">
      <${Legend} />
      <${TimeAxis} model=${model} span=${span} nodes=${names} words=${`What ran on ${many(names.length, "node")} and what comes; the same stands in the lists below.`} />
    <//>
    <div class="now-lists">
      <${Open} of=${open} />
      <${Ended} model=${model} />
      <${Coming} of=${coming} />
    </div>`;
}

const SIGNS = ["COMPLETED", "RUNNING", "FAILED", "CRASHED", "CANCELLED"];

const Legend = () =>
  html`<div class="axis-legend">${SIGNS.map((name) => html`<${State} name=${name} />`)}<span class="state"><span class="coming-sign"></span>Coming</span></div>`;

function kept(model, found, span) {
  model.settle(new Set(found.list.filter((row) => !row.endedAt).map((row) => row.id)));
  for (const row of [...found.list].reverse()) model.put(row, row.task ?? row.taskType);
  model.prune(Date.now() - span);
  return found;
}

// What comes moves into the window: it is read anew as a tenth of the window has passed.
function useRenewed(loaded, span) {
  const step = Math.min(30_000, Math.max(5_000, span / 10));
  const turn = Math.floor(useNow() / step);
  useEffect(() => {
    if (loaded.data) loaded.again();
  }, [turn]);
}

function wordsOf(counts, names) {
  return counts ? `${many(counts.tasks, "task")} on ${many(names.length, "node")}` : "";
}

const Spans = ({ chosen }) =>
  html`<div class="row tight" role="group" aria-label="Width of the axis">
    ${SPANS.map(([name]) => html`<button class="small" aria-pressed=${name === chosen} onClick=${() => setQuery({ span: name })}>${name}</button>`)}
  </div>`;

function Paused() {
  const scheduler = useLoaded((signal) => get("/scheduler", {}, signal), []).data;
  if (!scheduler?.paused) return null;
  return html`<div class="note warn"><strong>Nothing fires:</strong> the scheduler is paused for all tasks${scheduler.by ? ` by ${scheduler.by}` : ""}${scheduler.note ? `: ${scheduler.note}` : ""}.
    <a href=${link("queues")}>Resume it</a></div>`;
}

function Tiles({ counts, open, coming }) {
  const present = useNow();
  const status = counts?.byStatus ?? {};
  const soon = coming?.list.filter((row) => !row.excludedBy && millis(row.assigned ?? row.nominal) - present < 60_000).length;
  const running = open?.list.filter((row) => row.state === "RUNNING").length;
  const troubled = (status.FAILED ?? 0) + (status.CRASHED ?? 0);
  return html`<div class="tiles">
    <${Tile} label="running" value=${running === undefined ? "…" : `${count(running)}${open.more ? "+" : ""}`} href=${link("executions", { state: "RUNNING" })} />
    <${Tile} label="waiting" value=${count(status.WAITING ?? 0)} href=${link("tasks", { status: "WAITING" })} about="due, and held back by a limit, another task or the next try" />
    <${Tile} label="due within a minute" value=${soon === undefined ? "…" : `${count(soon)}${coming.more ? "+" : ""}`} />
    <${Tile} label="failed or crashed" value=${count(troubled)} href=${link("tasks", { status: status.CRASHED && !status.FAILED ? "CRASHED" : "FAILED" })} about="tasks whose last execution ended so" />
    <${Tile} label="scheduled" value=${count(status.SCHEDULED ?? 0)} href=${link("tasks", { status: "SCHEDULED" })} />
  </div>`;
}

const nameOf = (row) => row.task ?? row.taskType;

/** The newest progress of executions, by id, as events tell it. */
function useProgress() {
  const [known, setKnown] = useState({});
  useLive((batch) => {
    const told = batch.filter((event) => event.kind === "progress");
    if (told.length) setKnown((before) => ({ ...before, ...Object.fromEntries(told.map((event) => [event.execution.id, event.progress])) }));
    const ended = batch.filter((event) => event.kind === "execution" && event.execution.endedAt && known[event.execution.id]);
    if (ended.length) setKnown((before) => Object.fromEntries(Object.entries(before).filter(([id]) => !ended.some((event) => event.execution.id === id))));
  });
  return known;
}

function Open({ of }) {
  const progress = useProgress();
  return html`<${Card} title="Running and waiting" aside=${html`<a class="small" href=${link("executions", { state: "OPEN" })}>All</a>`}>
    <${Loaded} of=${of}>${(found) =>
      found.list.length === 0
        ? html`<p class="dim small">Nothing runs at this moment.</p>`
        : html`<ul class="plain-list">${found.list.slice(0, LIST).map((row) => html`<${OpenRow} key=${row.id} row=${row} progress=${progress[row.id] ?? row.progress} />`)}</ul>`}<//>
  <//>`;
}

function OpenRow({ row, progress }) {
  const present = useNow();
  const done = progress?.total ? Math.min(1, progress.done / progress.total) : null;
  return html`<li>
    <div class="row spread"><a class="truncate" href=${link("executions", row.id)}>${nameOf(row)}</a><${State} name=${row.state} /></div>
    <div class="row spread tiny dim"><span>${row.node ?? row.waitsFor ?? ""}</span>
      <span>${row.startedAt ? duration(Math.max(0, present - millis(row.startedAt))) : html`<${When} at=${row.retryAt ?? row.nominal} />`}</span></div>
    ${done !== null && html`<div class="progress" role="progressbar" aria-label=${`Progress of ${nameOf(row)}`} aria-valuenow=${Math.round(done * 100)} aria-valuemin="0" aria-valuemax="100"><div style=${{ width: `${done * 100}%` }}></div></div>`}
  </li>`;
}

// The axis knows what ended: the list is what it knows, drawn anew each second.
function Ended({ model }) {
  useNow();
  const ended = [...model.bars.values()].filter((bar) => bar.end !== null).sort((a, b) => b.end - a.end).slice(0, LIST);
  return html`<${Card} title="Just ended" aside=${html`<a class="small" href=${link("executions")}>All</a>`}>
    ${ended.length === 0
      ? html`<p class="dim small">Nothing ended in this window.</p>`
      : html`<ul class="plain-list">${ended.map((bar) => html`<li key=${bar.id}>
          <div class="row spread"><a class="truncate" href=${link("executions", bar.id)}>${bar.task}</a><${State} name=${bar.state} /></div>
          <div class="row spread tiny dim"><${When} at=${iso(bar.end)} /><span>${duration(bar.end - bar.start)}</span></div>
        </li>`)}</ul>`}
  <//>`;
}

function Coming({ of }) {
  const present = useNow();
  return html`<${Card} title="Coming next" aside=${html`<a class="small" href=${link("load")}>Seven days</a>`}>
    <${Loaded} of=${of}>${(found) => {
      const next = found.list.filter((row) => !row.excludedBy && millis(row.assigned ?? row.nominal) >= present).slice(0, LIST);
      if (next.length === 0) return html`<${Empty} title="Nothing comes in this window." command="tocsin task add hello --every 10s -- echo hello" />`;
      return html`<ul class="plain-list">${next.map((row) => html`<li key=${`${row.taskId} ${row.nominal}`}>
        <div class="row spread"><a class="truncate" href=${link("tasks", row.taskId)}>${nameOf(row)}</a><${When} at=${row.assigned ?? row.nominal} /></div>
        <div class="tiny dim">${row.owner ?? "no node owns it yet"}</div>
      </li>`)}</ul>`;
    }}<//>
  <//>`;
}
