// One task: how it stands, what comes, what was and why, and what it is.

import { html, useEffect, useMemo, useRef, useState } from "../lib.js";
import { get, path } from "../api.js";
import { count, full } from "../format.js";
import { useLive } from "../live.js";
import { useLiveLoaded } from "../load.js";
import { link, setQuery } from "../router.js";
import { executionLink, failureLine, isOpen, Took, Waits } from "../parts/executions.js";
import { ClockChanges, Fires } from "../parts/fires.js";
import { Figures, History } from "../parts/history.js";
import { Ledger } from "../parts/ledger.js";
import { Card, Empty, Head, Loaded } from "../parts/page.js";
import { PoliciesTable } from "../parts/policies.js";
import { Progress } from "../parts/progress.js";
import { State } from "../parts/state.js";
import { Table } from "../parts/table.js";
import { TaskActions } from "../parts/task_actions.js";
import { Definition, Dependencies, Events } from "../parts/task_about.js";
import { taskName } from "../parts/tasks.js";
import { When } from "../parts/time.js";
import { zoneOf } from "../parts/trigger_model.js";
import { Why } from "../parts/why.js";

const TIMES = 20;
const LEDGER = 100;

/** How many executions the figures and the chart are of, by choice. */
const SPANS = [50, 100, 500];

/** How many of them the table shows. */
const RECENT = 10;

/** The progress of each open execution of a task, as it is told: by id. */
function useProgress(id) {
  const [known, setKnown] = useState({});
  useLive((batch) => {
    const told = batch.filter((event) => event.kind === "progress" && event.task?.itemId === id);
    if (told.length) setKnown((before) => Object.assign({ ...before }, ...told.map((event) => ({ [event.execution.id]: event.progress }))));
  });
  return known;
}

/** Who deleted a task, once somebody has: the node knows nothing of it any more, and is not asked. */
function useDeletion(id) {
  const [by, setBy] = useState(null);
  useLive((batch) => {
    const told = batch.find((event) => event.kind === "task" && event.change?.action === "DeleteTask" && event.task?.itemId === id.current);
    if (told) setBy(told.change.actor || "somebody");
  });
  return by;
}

export function Page({ parts, query }) {
  const reference = parts[1];
  const id = useRef(null);
  const deletedBy = useDeletion(id);
  return deletedBy ? html`<${Deleted} by=${deletedBy} />` : html`<${Present} key=${reference} reference=${reference} query=${query} id=${id} />`;
}

const Deleted = ({ by }) => html`<${Head} title="Deleted" />
  <${Card}><${Empty} title=${`${by} deleted this task, with its history.`} action=${html`<a class="button" href=${link("tasks")}>To the other tasks</a>`} /><//>`;

function Present({ reference, query, id }) {
  const concerns = (event) => (event.kind === "execution" || event.kind === "task") && event.task?.itemId === id.current;
  const task = useLiveLoaded((signal) => get(path`/tasks/${reference}`, {}, signal), [reference], concerns);
  if (task.data) id.current = task.data.itemId;
  return html`<${Loaded} of=${task}>${(data) => html`<${Task} task=${data} query=${query} again=${task.again} />`}<//>`;
}

function Task({ task, query, again }) {
  const id = task.itemId;
  const span = SPANS.includes(Number(query.span)) ? Number(query.span) : SPANS[0];
  const concerns = (event) => (event.kind === "execution" || event.kind === "task") && event.task?.itemId === id;
  const next = useLiveLoaded((signal) => get(path`/tasks/${id}/next`, { count: TIMES }, signal), [id], concerns);
  const ledger = useLiveLoaded((signal) => get(path`/tasks/${id}/outcomes`, { newest: true, limit: LEDGER, since: task.createdAt }, signal), [id], concerns);
  const executions = useLiveLoaded((signal) => get(path`/tasks/${id}/executions`, { limit: span }, signal), [id, span], concerns);
  const done = () => [{ again }, next, ledger, executions].forEach((one) => one.again());
  const timezone = zoneOf(task.trigger);
  // What has many elements is made anew only when what it shows was: of a task that fires often, something else changes all the time.
  const was = useMemo(
    () =>
      html`<${Loaded} of=${ledger}>${({ list, more }) => html`<${Ledger} rows=${list.toReversed()} task=${id} timezone=${timezone}
    asked=${query.at} />${more && html`<p class="tiny dim">There are more before these.</p>`}`}<//>`,
    [ledger.data, ledger.error, timezone, query.at],
  );
  const went = useMemo(
    () =>
      html`<${Loaded} of=${executions}>${({ list, totalSize }) =>
        html`<div class="stack">${
          list.length > 0 &&
          html`<${Figures}
    executions=${list} total=${totalSize} />`
        }<${History} executions=${list} view=${query.view} /></div>`}<//>`,
    [executions.data, executions.error, query.view, span],
  );
  const recent = useMemo(
    () =>
      html`<${Loaded} of=${executions}>${({ list }) => html`<${Recent}
    executions=${list.slice(0, RECENT)} />`}<//>`,
    [executions.data, executions.error],
  );
  const comes = useMemo(
    () =>
      html`<${Loaded} of=${next}>${(data) => html`<${Coming} next=${data}
    timezone=${timezone} />`}<//>`,
    [next.data, next.error, timezone],
  );
  const policies = useMemo(() => html`<${PoliciesTable} policies=${task.policies} sources=${task.policySources} />`, [task.revision]);
  return html`
    <${Heading} task=${task} done=${done} />
    <${Standing} task=${task} next=${next.data} executions=${executions.data?.list ?? []} />
    <div class="columns">
      <div>
        <${Card} title="Ledger" aside=${html`<span class="small dim">its last times, the newest at the end</span>`}>${was}<//>
        <${Why} task=${id} name=${taskName(task)} at=${query.at} round=${query.at ? 0 : task.version} />
        <${Card} title="History" aside=${html`<${Spans} span=${span} />`}>${went}<//>
        <${Card} flush title="Recent executions" aside=${html`<a class="small" href=${link("executions", { task: id })}>All</a>`}>${recent}<//>
        <${Dependencies} task=${task} />
        <${Events} task=${task} />
      </div>
      <div>
        <${Card} title="Next times"><div class="stack"><p class="trigger-words">${task.triggerWords}</p>${comes}</div><//>
        <${Card} title="When clocks change"><${Loaded} of=${next}>${({ clockChanges }) => html`<${ClockChanges} changes=${clockChanges}
          empty=${`No change of the clock concerns it: its zone is ${timezone}.`} />`}<//><//>
        <${Card} title="Policies">${policies}<//>
        <${Definition} task=${task} />
      </div>
    </div>`;
}

function Heading({ task, done }) {
  const before = html`<div class="row small dim"><a href=${link("tasks")}>Tasks</a><span aria-hidden="true">/</span><a
    href=${link("tasks", { type: task.taskType })}>${task.taskType}</a></div>`;
  const owner = [task.owner && `owner ${task.owner}`, task.tenant && `tenant ${task.tenant}`, task.changedBy && `changed last by ${task.changedBy}`]
    .filter(Boolean)
    .join(" · ");
  const about = html`<span class="row"><${State}
    name=${task.paused ? "PAUSED" : task.status} />${task.phase !== "active" && task.phase !== "paused" && html`<span class="chip">${task.phase}</span>`}
    ${task.tags.map(
      (tag) => html`<a class="chip wrap" key=${tag}
      href=${link("tasks", { text: tag })}>${tag}</a>`,
    )}${owner && html`<span class="small">${owner}</span>`}</span>`;
  return html`<${Head} title=${taskName(task)} before=${before} about=${about} actions=${html`<${TaskActions} task=${task} done=${done} />`} />
    ${
      task.paused &&
      html`<div class="note warn">
      <strong>Paused</strong>${task.changedBy ? ` by ${task.changedBy}` : ""}${task.note ? html`: <span dir="auto">${task.note}</span>` : ". Nobody said why."}</div>`
    }`;
}

function Spans({ span }) {
  return html`<label class="row small"><span>the last</span><select class="narrow" aria-label="How many executions" value=${span}
    onChange=${(event) => setQuery({ span: Number(event.target.value) === SPANS[0] ? null : event.target.value })}>
    ${SPANS.map((one) => html`<option value=${one}>${count(one)}</option>`)}</select></label>`;
}

const fromDetail = ({ currentStep, statusDetails }) => ({
  step: currentStep,
  done: statusDetails.processedCount ?? null,
  total: statusDetails.totalCount ?? null,
  eta: statusDetails.eta ?? null,
  at: new Date().toISOString(),
});

/** What it does now, or waits for. */
function Standing({ task, next, executions }) {
  const progress = useProgress(task.itemId);
  const open = executions.filter((one) => isOpen(one) || one.state === "CRASHED");
  const elsewhere = executions.length ? task.open.filter((id) => !executions.some((one) => one.id === id)) : [];
  const failure = task.lastFailure;
  return html`<section class="card stack" aria-label="Now">
    <div class="row standing">
      <span><span class="small dim">Next</span> ${
        task.nextScheduledExecution
          ? html`<strong><${When}
        at=${task.nextScheduledExecution} both /></strong>`
          : html`<strong>none: ${whyNone(task)}</strong>`
      }</span>
      <span><span class="small dim">Last</span> ${
        task.lastExecutionDate
          ? html`<${When}
        at=${task.lastExecutionDate} />`
          : html`<span>never</span>`
      } ${
        task.lastState &&
        task.lastExecution &&
        html`<a
          href=${link("executions", task.lastExecution)}><${State} name=${task.lastState} /></a>`
      }</span>
      <span class="small dim">${count(task.completed)} completed, ${count(task.failed)} failed in all
        ${task.failureCount ? `; ${count(task.failureCount)} since the last success` : ""}</span>
    </div>
    ${next?.schedulerPaused && html`<div class="note warn"><strong>The whole scheduler is paused.</strong> No task fires until it is resumed.</div>`}
    ${open.map(
      (one) => html`<div class="stack open-execution" key=${one.id}>
      <div class="row"><a href=${executionLink(one)}><${State} name=${one.state} /></a><${Waits}
        execution=${one} />${one.node && html`<span class="small dim">on ${one.node}</span>`}
        <span class="small dim">attempt ${one.attempt}</span><span class="small"><${Took} execution=${one} /></span></div>
      ${
        one.state === "RUNNING" &&
        html`<${Progress} progress=${progress[one.id] ?? (open.length === 1 && task.currentStep ? fromDetail(task) : null)}
        startedAt=${one.startedAt} />`
      }</div>`,
    )}
    ${elsewhere.map(
      (one) => html`<div class="row small" key=${one}><a
      href=${link("executions", one)}>An execution from before these</a> has not ended.</div>`,
    )}
    ${
      failure &&
      html`<div class="note failure"><strong>${failureLine(failure)}</strong>
      ${failure.traceback && html`<details><summary>Traceback</summary><pre class="small">${failure.traceback}</pre></details>`}</div>`
    }
  </section>`;
}

const whyNone = (task) => ({ paused: "it is paused", finished: "it has finished", cancelled: "it is cancelled" })[task.phase] ?? "nothing is planned";

/** The times to come: as many as fit a look, and the others on demand. */
function Coming({ next, timezone }) {
  const few = 8;
  const [all, setAll] = useState(false);
  useEffect(() => setAll(false), [timezone]);
  if (next.phase !== "active") return html`<p class="dim">It fires nothing as it is: it is ${next.phase}.</p>`;
  return html`<${Fires} fires=${all ? next.fires : next.fires.slice(0, few)} timezone=${timezone} />
    ${
      next.fires.length > few &&
      html`<div><button type="button" class="small plain" aria-expanded=${all}
      onClick=${() => setAll(!all)}>${all ? "Fewer" : `All ${next.fires.length}`}</button></div>`
    }`;
}

const why = (one) => {
  const line = failureLine(one.failure);
  return one.state === "WAITING"
    ? html`<div class="tiny dim"><${Waits} execution=${one} /></div>`
    : line &&
        html`<div class="tiny dim failure-line"
    title=${line}>${line}</div>`;
};

const COLUMNS = [
  {
    label: "Execution",
    lead: true,
    cell: (one) => html`<a class="name"
    href=${executionLink(one)}>${one.nominal ? full(one.nominal) : `by hand, ${full(one.createdAt)}`}</a>${why(one)}`,
  },
  { label: "State", fit: true, cell: (one) => html`<${State} name=${one.state} />` },
  {
    label: "Outcome",
    fit: true,
    cell: (one) => html`<span class="small">${one.outcome ?? ""}${one.reason ? ` (${one.reason.replaceAll("_", " ")})` : ""}</span>`,
  },
  { label: "Took", fit: true, number: true, cell: (one) => html`<${Took} execution=${one} />` },
  { label: "Attempt", fit: true, number: true, cell: (one) => one.attempt },
  { label: "Node", fit: true, cell: (one) => html`<span class="small">${one.node ?? "–"}</span>` },
];

function Recent({ executions }) {
  if (!executions.length) return html`<p class="dim pad">It has not run yet.</p>`;
  return html`<${Table} caption="Recent executions" columns=${COLUMNS} rows=${executions} rowKey=${(one) => one.id} />`;
}
