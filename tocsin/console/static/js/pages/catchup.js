// What is owed from a time without nodes, or from a pause: how much, at what pace it is made up for, what becomes of it, and what may be dropped.

import { html, useState } from "../lib.js";
import { get, may, path } from "../api.js";
import { useEvery } from "../every.js";
import { count, many } from "../format.js";
import { useLiveLoaded } from "../load.js";
import { link, setQuery } from "../router.js";
import { Action } from "../parts/action.js";
import { Sign } from "../parts/bar.js";
import { ALL, Preview } from "../parts/catch_up_preview.js";
import { commandLine, curlLine, Elsewhere } from "../parts/copy.js";
import { Discard } from "../parts/discard.js";
import { Card, Empty, Facts, Head, Loaded, Tile } from "../parts/page.js";
import { Scheduler } from "../parts/scheduler.js";
import { Table } from "../parts/table.js";
import { When } from "../parts/time.js";

const LOOK = 2_000;

const POLICIES = [
  ["latest", "One run, of the newest time, stands for all. The default."],
  ["skip", "None of them runs: they are missed."],
  ["earliest", "One run, of the oldest time, stands for all."],
  ["all", "Each of them runs, one after another, up to a limit (100 unless said), at a rate if one is set."],
];

/** What is owed, and the scheduler. `owed` is null on a node of a version that cannot tell. */
async function read(signal) {
  const [owed, scheduler] = await Promise.all([readOwed(signal), get("/scheduler", {}, signal)]);
  return { owed, scheduler };
}

async function readOwed(signal) {
  try {
    return await get("/catchup", {}, signal);
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

export function Page({ query }) {
  const all = useLiveLoaded(read, [], (event) => event.kind === "execution" || event.kind === "task");
  useEvery(LOOK, all.again);
  return html`
    <${Head} title="Catch-up" about="What came due while nobody could run it is made up for, at a pace at which live tasks stay on time."
      actions=${all.data?.owed && html`<button type="button" aria-pressed=${query.preview === ALL} onClick=${() => setQuery({ preview: query.preview === ALL ? null : ALL })}>Preview</button>
        ${!all.data.scheduler.paused && html`<${Scheduler} known=${all.data.scheduler} done=${all.again} />`}`} />
    <${Loaded} of=${all}>${({ owed, scheduler }) => html`
      ${scheduler.paused && html`<${Scheduler} known=${scheduler} done=${all.again} />`}
      ${owed ? html`<${Told} owed=${owed} query=${query} again=${all.again} />` : html`<${Unknown} />`}`}<//>
    <${Card} title="Policies"><${Facts} rows=${POLICIES} /><p class="small dim">Each task has one: <code>catchUp</code>, or <code>--catch-up</code>. Before that the lateness limit drops what is too old.</p><//>`;
}

const Unknown = () => html`<${Card}><${Empty} title="This node cannot tell what is owed." command="tocsin task list --sort nextScheduledExecution:asc">It runs an older version. The tasks that are due, the most overdue first:<//><//>`;

const Told = ({ owed, query, again }) => html`
  <${Totals} owed=${owed} />
  <${Governor} owed=${owed} />
  ${query.preview && html`<${Preview} key=${query.preview} of=${query.preview} />`}
  ${owed.tasks.length ? html`<${Owed} owed=${owed} again=${again} />` : html`<${Nothing} />`}`;

const Totals = ({ owed }) => html`<div class="tiles">
  <${Tile} label="wait for their turn" value=${count(owed.waiting)} about="executions that the governor lets start one after another" href=${link("executions", { state: "WAITING" })} />
  <${Tile} label=${owed.overdue === 1 ? "task is overdue" : "tasks are overdue"} value=${count(owed.overdue)} about="their time has come, and nobody has decided about it yet" />
  <${Tile} label="held after a crash" value=${count(owed.held)} about="they wait for you: resume them or give them up" href=${link("executions", { state: "HELD" })} />
</div>`;

const Governor = ({ owed }) => html`<${Card} title="The governor" aside=${html`<span class="small dim">what is late by more than five seconds waits here; what is on time never asks</span>`}><div class="row spread">
  <${Facts} rows=${[
    ["At once", html`${many(owed.burst, "start")} <code class="small dim">catch_up.burst</code>`],
    ["Then", html`${count(owed.rate)} a second, over the whole cluster <code class="small dim">catch_up.rate</code>`],
    ["Together", html`${many(owed.running, "execution")} at most <code class="small dim">catch_up.running</code>`],
  ]} />
  <${Facts} rows=${[
    ["Waiting", owed.waiting ? html`<${Sign} look="waiting" sign="…">${many(owed.waiting, "execution")}<//>` : html`<${Sign} look="completed" sign="✓">Nobody<//>`],
    ["The last may start", owed.last && html`<${When} at=${owed.last} both />`],
  ]} />
</div><//>`;

const Nothing = () => html`<${Card}><${Empty} title="Nothing is owed." command="tocsin scheduler pause --note 'trying catch-up'">Everything that came due has run, or was decided. To see this page at work, pause the scheduler for a few minutes, look at what comes, and resume it:<//><//>`;

const none = html`<span class="dim">–</span>`;

const columns = (again) => [
  { label: "Task", lead: true, cell: (one) => html`<a class="name" href=${link("tasks", one.taskId)}>${one.task ?? one.taskId}</a><div class="tiny dim truncate">${one.taskType}</div>` },
  { label: "Policy", fit: true, cell: (one) => html`<code title=${POLICIES.find(([name]) => name === one.policy)?.[1]}>${one.policy}</code>` },
  { label: "Overdue since", fit: true, cell: (one) => html`<${When} at=${one.overdue} />` },
  { label: "Waiting", cell: (one) => html`<${Waiting} one=${one} />` },
  { label: "Held", fit: true, cell: (one) => (one.held ? html`<a href=${link("executions", { state: "HELD", task: one.taskId })}><${Sign} look="crashed" sign="!" title="held after a crash, until somebody decides">${count(one.held)}<//></a>` : none) },
  { label: "", fit: true, cell: (one) => html`<span class="row tight"><${Choices} one=${one} again=${again} /></span>` },
];

function Waiting({ one: { waiting, oldest, newest, pending } }) {
  const more = pending && html`<span class="tiny dim"> and more to come</span>`;
  if (!waiting) return more ? html`<span class="dim">none yet,</span>${more}` : none;
  return html`<span>${many(waiting, "execution")}<span class="tiny dim">${oldest && html` of <${When} at=${oldest} />`}${newest && newest !== oldest && html` to <${When} at=${newest} />`}</span>${more}</span>`;
}

/** What may be done about one task: what is held goes on, what waits is dropped, what is overdue is looked at before it is decided. */
function Choices({ one, again }) {
  const name = one.task ?? one.taskId;
  return html`
    ${one.overdue && html`<button type="button" class="small plain" onClick=${() => setQuery({ preview: one.taskId })}>Preview</button><a class="button small plain" href=${link("tasks", one.taskId, "edit")}>Change policy</a>`}
    ${one.held > 0 && html`<${Action} small plain label="Resume" title=${`Resume ${name}`} where=${path`/tasks/${one.taskId}/resume`} cli=${commandLine("task", "resume", name)} said=${`${name} goes on`} done=${again}
      about="The crashed execution goes on from its checkpoint, or begins again if it has none. Make sure that it does no harm to run it a second time." />`}
    ${one.waiting > 0 && html`<${Discard} small tasks=${[one.taskId]} title=${`Discard: ${name}`} done=${again} />`}`;
}

function Owed({ owed, again }) {
  const [picked, setPicked] = useState(new Set());
  const waiting = owed.tasks.filter((one) => one.waiting > 0).map(({ taskId }) => taskId);
  // What no longer waits is chosen no longer.
  const chosen = new Set(waiting.filter((id) => picked.has(id)));
  const done = () => {
    setPicked(new Set());
    again();
  };
  const turn = (id) => setPicked(new Set(chosen.has(id) ? [...chosen].filter((one) => one !== id) : [...chosen, id]));
  const some = may("operator") && waiting.length > 0;
  return html`<${Card} flush title="What is owed" aside=${some && html`
      <button type="button" class="small plain" onClick=${() => setPicked(new Set(chosen.size === waiting.length ? [] : waiting))}>${chosen.size === waiting.length ? "Choose none" : "Choose all that wait"}</button>
      <${Discard} small tasks=${[...chosen]} label=${chosen.size ? `Discard ${many(chosen.size, "task")}` : "Discard chosen"} title=${`Discard what waits of ${many(chosen.size, "task")}`} done=${done} />`}>
    <${Table} caption="Tasks that are owed something" columns=${[...(some ? [choosing(chosen, turn)] : []), ...columns(again)]} rows=${owed.tasks} rowKey=${(one) => one.taskId} />
    ${owed.more && html`<p class="small dim card-foot">There is more than this. It appears as this is made up for.</p>`}
    <div class="card-foot"><${Elsewhere} curl=${curlLine("GET", "/catchup")} /></div>
  <//>`;
}

/** The boxes: of those alone of which something can be dropped. */
const choosing = (chosen, turn) => ({
  label: "Choose",
  fit: true,
  cell: (one) => one.waiting > 0 && html`<input type="checkbox" aria-label=${`Choose ${one.task ?? one.taskId}`} checked=${chosen.has(one.taskId)} onChange=${() => turn(one.taskId)} />`,
});
