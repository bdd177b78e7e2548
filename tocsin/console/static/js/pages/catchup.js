// What is owed from a time without nodes, or from a pause: how much, at what pace it is made up for, and what may be dropped.

import { html, useState } from "../lib.js";
import { get, path, post } from "../api.js";
import { count, duration, many, relative, useNow } from "../format.js";
import { useEvery } from "../every.js";
import { useLiveLoaded } from "../load.js";
import { link } from "../router.js";
import { word } from "../states.js";
import { Action } from "../parts/action.js";
import { Sign } from "../parts/bar.js";
import { commandLine, curlLine, Elsewhere } from "../parts/copy.js";
import { Card, Empty, Facts, Head, Loaded, Problem, Tile } from "../parts/page.js";
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

async function read(signal) {
  const [owed, scheduler] = await Promise.all([get("/catchup", {}, signal), get("/scheduler", {}, signal)]);
  return { owed, scheduler };
}

export function Page() {
  const all = useLiveLoaded(read, [], (event) => event.kind === "execution" || event.kind === "slots");
  useEvery(LOOK, all.again);
  return html`
    <${Head} title="Catch-up" about="What came due while nobody could run it is made up for, at a pace at which live tasks stay on time." />
    ${all.data === null && all.error?.status === 404
      ? html`<${Card}><${Empty} title="This node cannot tell what is owed." command="tocsin status">It runs an older version. How many tasks wait, and for what:<//><//>`
      : html`<${Loaded} of=${all}>${({ owed, scheduler }) => html`
          ${scheduler.paused && html`<${Scheduler} known=${scheduler} done=${all.again} />`}
          <${Totals} owed=${owed} />
          ${owed.tasks.length ? html`<${Owed} owed=${owed} again=${all.again} />` : html`<${Nothing} />`}
          <${Preview} key=${owed.overdue > 0} owed=${owed} paused=${scheduler.paused} />`}<//>`}
    <${Policies} rate=${all.data?.owed} />`;
}

function Totals({ owed }) {
  const now = useNow();
  return html`<div class="tiles">
    <${Tile} label="wait for their turn" value=${count(owed.waiting)} about="executions that the governor lets start one after another" href=${link("executions", { state: "WAITING" })} />
    <${Tile} label="tasks are overdue" value=${count(owed.overdue)} about="their time has come, and nobody has decided about it yet" />
    <${Tile} label="held after a crash" value=${count(owed.held)} about="they wait for you: resume them or give them up" href=${link("executions", { state: "CRASHED" })} />
    <${Tile} label="until the last has started" value=${owed.last ? relative(owed.last, now).replace(/^in /, "") : "–"} about="at the pace of the governor" />
  </div>`;
}

const Nothing = () => html`<${Card}><${Empty} title="Nothing is owed." command="tocsin scheduler pause --note 'trying catch-up'">Everything that came due has run, or was decided. To see this page at work, pause the scheduler for a few minutes, look at the preview, and resume it:<//><//>`;

const columns = (again) => [
  { label: "Task", lead: true, cell: (one) => html`<a class="name" href=${link("tasks", one.taskId)}>${one.task ?? one.taskId}</a><div class="tiny dim truncate">${one.taskType}</div>` },
  { label: "Policy", fit: true, cell: (one) => html`<span title=${POLICIES.find(([name]) => name === one.policy)?.[1]}>${one.policy}</span>` },
  { label: "Waiting", number: true, fit: true, cell: (one) => html`${count(one.waiting)}${one.pending && html`<span class="tiny dim"> and more to come</span>`}` },
  { label: "From", fit: true, cell: (one) => html`<${When} at=${one.oldest} />` },
  { label: "To", fit: true, cell: (one) => html`<${When} at=${one.newest} />` },
  { label: "Overdue since", fit: true, cell: (one) => html`<${When} at=${one.overdue} />` },
  { label: "Held", fit: true, cell: (one) => (one.held ? html`<${Sign} look="crashed" sign="!">${count(one.held)}<//>` : html`<span class="dim">–</span>`) },
  { label: "", fit: true, cell: (one) => html`<span class="row tight"><${OneTask} one=${one} done=${again} /></span>` },
];

function Owed({ owed, again }) {
  const waiting = owed.tasks.filter((one) => one.waiting > 0);
  return html`<${Card} flush title="What is owed" aside=${waiting.length > 1 && html`<${Discard} tasks=${waiting} done=${again} />`}>
    <${Table} caption="Tasks that are owed something" columns=${columns(again)} rows=${owed.tasks} rowKey=${(one) => one.taskId} />
    ${owed.more && html`<p class="small dim card-foot">There are more tasks than these. They appear as these are made up for.</p>`}
  <//>`;
}

function OneTask({ one, done }) {
  const name = one.task ?? one.taskId;
  return html`
    ${one.held > 0 && html`<${Action} small plain label="Resume" title=${`Resume ${name}`} where=${path`/tasks/${one.taskId}/resume`} about="The crashed execution goes on from its checkpoint, or begins again if it has none. Make sure that it does no harm to run it a second time."
      cli=${commandLine("task", "resume", name)} said=${`${name} goes on`} done=${done} />`}
    ${one.waiting > 0 && html`<${Discard} tasks=${[one]} done=${done} />`}`;
}

function Discard({ tasks, done }) {
  const body = { tasks: tasks.map(({ taskId }) => taskId) };
  const number = tasks.reduce((sum, { waiting }) => sum + waiting, 0);
  const all = tasks.length > 1;
  return html`<${Action} small plain=${!all} danger label=${all ? "Discard all" : "Discard"} title=${all ? `Discard what ${many(tasks.length, "task")} are owed` : `Discard what ${tasks[0].task ?? tasks[0].taskId} is owed`}
    where="/catchup/discard" body=${body} about=${html`<strong>${many(number, "execution")} will not run.</strong> Their times are kept as skipped, with you in the audit log. Times to come are not touched. It cannot be undone; each can be run by hand.`}
    said=${({ discarded, refused }) => `${many(discarded, "execution")} discarded${refused.length ? `; refused: ${refused[0].message}` : ""}`} done=${done} />`;
}

/** What would happen with what is overdue: asked for, not watched, as it goes through all triggers. */
function Preview({ owed, paused }) {
  const [state, setState] = useState(null);
  const [busy, setBusy] = useState(false);
  const look = async () => {
    setBusy(true);
    setState(await post("/catchup/preview", {}).then((found) => ({ found }), (error) => ({ error })));
    setBusy(false);
  };
  if (!owed.overdue && !paused && !state) return null;
  return html`<${Card} title="What would run" aside=${html`<button class="small" disabled=${busy} onClick=${look}>${busy ? "Counting …" : state ? "Count again" : "Count it"}</button>`}>
    <div class="stack">
      ${!state && html`<p class="dim">${many(owed.overdue, "task is", "tasks are")} overdue. Count what their policies would make of it, before anything runs.</p>`}
      ${state?.error && html`<${Problem} error=${state.error} again=${look} />`}
      ${state?.found && html`<${Previewed} found=${state.found} owed=${owed} />`}
      <${Elsewhere} curl=${curlLine("POST", "/catchup/preview", {})} />
    </div><//>`;
}

const PREVIEWED = [
  { label: "Task", lead: true, cell: (one) => html`<a class="name" href=${link("tasks", one.taskId)}>${one.task ?? one.taskId}</a>` },
  { label: "Policy", fit: true, cell: (one) => one.policy },
  { label: "Owed", number: true, fit: true, cell: (one) => (one.owed === null ? html`<span class="dim">many</span>` : `${count(one.owed)}${one.complete ? "" : " or more"}`) },
  { label: "Would run", number: true, fit: true, cell: (one) => count(one.runs) },
  { label: "Would not", fit: true, cell: (one) => Object.entries(one.outcomes).map(([name, number]) => `${count(number)} ${word(name).toLowerCase()}`).join(", ") || html`<span class="dim">–</span>` },
  { label: "From", fit: true, cell: (one) => html`<${When} at=${one.first} />` },
  { label: "To", fit: true, cell: (one) => html`<${When} at=${one.last} />` },
];

function Previewed({ found, owed }) {
  if (!found.list.length) return html`<p role="status">Nothing: all that was overdue has been decided meanwhile.</p>`;
  const beyond = Math.max(0, found.runs - owed.burst);
  return html`<p role="status"><strong>${many(found.runs, "execution")} would start${found.more ? ", or more" : ""}</strong>, ${beyond ? `${count(Math.min(found.runs, owed.burst))} at once and the others within ${duration((beyond / owed.rate) * 1_000)} at the least` : "all at once"}.</p>
    <${Table} caption="What would run" columns=${PREVIEWED} rows=${found.list} rowKey=${(one) => one.taskId} />
    ${found.more && html`<p class="small dim">There are more tasks than these.</p>`}`;
}

function Policies({ rate }) {
  return html`<div class="health-cards">
    <${Card} title="Policies"><${Facts} rows=${POLICIES.map(([name, about]) => [name, about])} /><p class="small dim">Each task has one: <code>catchUp</code>, or <code>--catch-up</code>. Before that the lateness limit drops what is too old.</p><//>
    <${Card} title="The governor"><div class="stack">
      <p>What is late by more than five seconds is let through at a pace; what is on time never asks.</p>
      ${rate && html`<${Facts} rows=${[
        ["At once", many(rate.burst, "start")],
        ["Then", `${count(rate.rate)} a second, over the whole cluster`],
        ["Together", `at most ${many(rate.running, "execution")} at a time`],
      ]} />`}
      <p class="small dim">To change it: <code>catch_up.rate</code>, <code>catch_up.burst</code> and <code>catch_up.running</code> in the configuration.</p>
    </div><//>
  </div>`;
}
