// What is owed from a time without nodes, or from a pause: how much, what becomes of it, and what may be dropped.

import { html } from "../lib.js";
import { get, path } from "../api.js";
import { useEvery } from "../every.js";
import { count, many } from "../format.js";
import { useLiveLoaded } from "../load.js";
import { comes, owed, range } from "../owed.js";
import { link } from "../router.js";
import { Action } from "../parts/action.js";
import { Sign } from "../parts/bar.js";
import { commandLine, curlLine, Elsewhere } from "../parts/copy.js";
import { Card, Empty, Facts, Head, Loaded, Tile } from "../parts/page.js";
import { Scheduler } from "../parts/scheduler.js";
import { Table } from "../parts/table.js";
import { When } from "../parts/time.js";

const LOOK = 2_000;

/** Rows that are asked for at a time: the most that is told at once. */
const MOST = 1_000;

const POLICIES = [
  ["latest", "One run, of the newest time, stands for all. The default."],
  ["skip", "None of them runs: they are missed."],
  ["earliest", "One run, of the oldest time, stands for all."],
  ["all", "Each of them runs, one after another, up to a limit (100 unless said), at a rate if one is set."],
];

async function read(signal) {
  const [waiting, held, tasks, scheduler] = await Promise.all([
    get("/executions", { state: "WAITING", limit: MOST }, signal),
    get("/executions", { state: "HELD", limit: MOST }, signal),
    get("/tasks", { sortBy: "nextScheduledExecution:asc", limit: MOST }, signal),
    get("/scheduler", {}, signal),
  ]);
  const open = held.list.filter(({ endedAt }) => !endedAt);
  return { ...owed([...waiting.list, ...open], tasks.list, Date.now()), more: waiting.more || held.more, scheduler };
}

export function Page() {
  const all = useLiveLoaded(read, [], (event) => event.kind === "execution" || event.kind === "task");
  useEvery(LOOK, all.again);
  return html`
    <${Head} title="Catch-up" about="What came due while nobody could run it is made up for, at a pace at which live tasks stay on time."
      actions=${all.data && !all.data.scheduler.paused && html`<${Scheduler} known=${all.data.scheduler} done=${all.again} />`} />
    <${Loaded} of=${all}>${(known) => html`
      ${known.scheduler.paused && html`<${Scheduler} known=${known.scheduler} done=${all.again} />`}
      <${Totals} known=${known} />
      ${known.tasks.length ? html`<${Owed} known=${known} again=${all.again} />` : html`<${Nothing} />`}`}<//>
    <${Policies} />`;
}

const Totals = ({ known }) => html`<div class="tiles">
  <${Tile} label="wait for their turn" value=${count(known.waiting)} about="executions that the governor lets start one after another" href=${link("executions", { state: "WAITING" })} />
  <${Tile} label="tasks are overdue" value=${count(known.overdue)} about="their time has come, and nobody has decided about it yet" />
  <${Tile} label="held after a crash" value=${count(known.held)} about="they wait for you: resume them or give them up" href=${link("executions", { state: "HELD" })} />
</div>`;

const Nothing = () => html`<${Card}><${Empty} title="Nothing is owed." command="tocsin scheduler pause --note 'trying catch-up'">Everything that came due has run, or was decided. To see this page at work, pause the scheduler for a few minutes, look at what comes, and resume it:<//><//>`;

const columns = (again) => [
  { label: "Task", lead: true, cell: (one) => html`<a class="name" href=${link("tasks", one.taskId)}>${one.task ?? one.taskId}</a><div class="tiny dim truncate">${one.taskType}</div>` },
  { label: "Overdue since", fit: true, cell: (one) => html`<${When} at=${one.overdue} />` },
  { label: "Waiting", cell: (one) => html`<${Waiting} executions=${one.waiting} />` },
  { label: "What comes", cell: (one) => html`<span class="small">${one.policy && one.overdue ? html`<strong>${one.policy.catchUp}</strong>: ${comes(one.policy)}` : one.policy?.catchUp}</span>` },
  { label: "Held", fit: true, cell: (one) => (one.held.length ? html`<${Sign} look="crashed" sign="!" title="held after a crash, until somebody decides">${count(one.held.length)}<//>` : html`<span class="dim">–</span>`) },
  { label: "", fit: true, cell: (one) => html`<span class="row tight"><${Choices} one=${one} done=${again} /></span>` },
];

function Waiting({ executions }) {
  const times = range(executions);
  if (!times) return html`<span class="dim">–</span>`;
  return html`<span>${many(executions.length, "execution")}<span class="tiny dim"> of <${When} at=${times.first} />${times.last !== times.first && html` to <${When} at=${times.last} />`}</span></span>`;
}

function Owed({ known, again }) {
  return html`<${Card} flush title="What is owed">
    <${Table} caption="Tasks that are owed something" columns=${columns(again)} rows=${known.tasks} rowKey=${(one) => one.taskId} />
    ${known.more && html`<p class="small dim card-foot">There is more than this. It appears as this is made up for.</p>`}
    <div class="card-foot"><${Elsewhere} cli=${commandLine("task", "list", "--sort", "nextScheduledExecution:asc")} curl=${curlLine("GET", "/executions?state=WAITING")} /></div>
  <//>`;
}

/** What may be done about one task: what is held goes on or is given up, what waits is dropped, the oldest first. */
function Choices({ one, done }) {
  const name = one.task ?? one.taskId;
  const [held] = one.held;
  const [waiting] = [...one.waiting].sort((a, b) => (a.nominal ?? "").localeCompare(b.nominal ?? ""));
  return html`
    ${held && html`<${Action} small plain label="Resume" title=${`Resume ${name}`} where=${path`/tasks/${one.taskId}/resume`} cli=${commandLine("task", "resume", name)} said=${`${name} goes on`} done=${done}
      about="The crashed execution goes on from its checkpoint, or begins again if it has none. Make sure that it does no harm to run it a second time." />
      <${Discard} execution=${held} name=${name} label="Give up" about="The crashed execution does not go on. Times to come are not touched." done=${done} />`}
    ${waiting && html`<${Discard} execution=${waiting} name=${name} label="Discard" about="This run will not start; its time is kept as skipped, with you in the audit log. Times to come are not touched. It cannot be undone, but the task can be run by hand." done=${done} />`}
    ${one.overdue && html`<a class="button small plain" href=${link("tasks", one.taskId, "edit")}>Change policy</a>`}`;
}

const Discard = ({ execution, name, label, about, done }) => html`<${Action} small plain danger label=${label} title=${`${label}: ${name}`} where=${path`/executions/${execution.id}/cancel`}
  about=${html`${about} ${execution.nominal && html`It is of <${When} at=${execution.nominal} both />.`}`} cli=${commandLine("execution", "cancel", execution.id)} said=${`${name}: one execution discarded`} done=${done} />`;

const Policies = () => html`<div class="health-cards">
  <${Card} title="Policies"><${Facts} rows=${POLICIES} /><p class="small dim">Each task has one: <code>catchUp</code>, or <code>--catch-up</code>. Before that the lateness limit drops what is too old.</p><//>
  <${Card} title="The governor"><div class="stack">
    <p>What is late by more than five seconds is let through at a pace; what is on time never asks.</p>
    <${Facts} rows=${[
      ["At once", html`<code>catch_up.burst</code>, 100 starts unless said`],
      ["Then", html`<code>catch_up.rate</code>, 100 a second over the whole cluster unless said`],
      ["Together", html`<code>catch_up.running</code>, at most 50 at a time unless said`],
    ]} />
    <p class="small dim">They stand in the configuration of the nodes; <code>tocsin config</code> shows what holds.</p>
  </div><//>
</div>`;
