// One execution: how it stands, how far it is, what it logs, what it came to and why; and what to do about it.

import { html, useEffect, useLayoutEffect, useState } from "../lib.js";
import { get, path } from "../api.js";
import { duration, many, millis, short } from "../format.js";
import { onKey } from "../keys.js";
import { isBroken, useLive } from "../live.js";
import { useLiveLoaded, useLoaded } from "../load.js";
import { go, link } from "../router.js";
import { word } from "../states.js";
import { Attempts } from "../parts/attempts.js";
import { CancelExecution, executionLink, isOpen, lateness, ReleaseExecution, ResumeExecution, RetryExecution, RunAgain, Took, Waits } from "../parts/executions.js";
import { Failure } from "../parts/failure.js";
import { Json } from "../parts/json.js";
import { Log } from "../parts/log.js";
import { Card, Facts, Head, Loaded } from "../parts/page.js";
import { Progress } from "../parts/progress.js";
import { State, Strip } from "../parts/state.js";
import { When } from "../parts/time.js";

/** Executions of the task around this one. */
const AROUND = 40;

const orNull = (error) => {
  if (error.status === 404) return null;
  throw error;
};

export function Page({ parts, query }) {
  const [, id] = parts;
  const concerns = (event) => event.kind === "execution" && event.execution.id === id;
  const execution = useLiveLoaded((signal) => get(path`/executions/${id}`, {}, signal), [id], concerns);
  if (execution.data === null) return html`<${Head} title="Execution" /><${Loaded} of=${execution} />`;
  return html`<${Loaded} of=${execution}>${(data) => html`<${Shown} execution=${data} again=${execution.again} query=${query} />`}<//>`;
}

/** The task of an execution with its newest executions; null where it has been removed. */
function useTask(execution) {
  const { taskId, state } = execution;
  const task = useLoaded((signal) => get(path`/tasks/${taskId}`, {}, signal).catch(orNull), [taskId, state]);
  const around = useLoaded((signal) => get(path`/tasks/${taskId}/executions`, { limit: AROUND }, signal).catch(orNull), [taskId, state]);
  return { task: task.data, around: around.data?.list ?? [], again: task.again };
}

/** The newest progress: as it was read, or as it was told since. */
function useProgress(execution) {
  const [told, setTold] = useState(null);
  useEffect(() => setTold(null), [execution]);
  useLive((batch) => {
    if (isBroken(batch)) return;
    const newest = batch.findLast((event) => event.kind === "progress" && event.execution.id === execution.id);
    if (newest) setTold(newest.progress);
  });
  return told ?? execution.progress;
}

function Shown({ execution, again, query }) {
  const { task, around, again: againTask } = useTask(execution);
  const done = () => {
    again();
    againTask();
  };
  const name = task?.name ?? short(execution.taskId);
  return html`
    <${Head} title=${name} before=${html`<${Path} execution=${execution} name=${name} />`}
      about=${html`<${Summary} execution=${execution} />`} actions=${html`<${Actions} ...${{ execution, task, done }} />`} />
    <${Around} execution=${execution} around=${around} />
    <${Notes} execution=${execution} task=${task} />
    <div class="columns">
      <div>
        <${Doing} execution=${execution} />
        ${execution.failure && html`<${Card} title=${isOpen(execution) ? "The last try failed" : "What went wrong"}><${Failure} failure=${execution.failure} /><//>`}
        ${execution.result !== null && html`<${Card} title="Result"><${Json} value=${execution.result} /><//>`}
        <${Card} title="Log"><${Log} id=${execution.id} open=${isOpen(execution)} query=${query} /><//>
        <${Why} execution=${execution} />
      </div>
      <div>
        <${Card} title="About it"><${About} execution=${execution} task=${task} /><//>
        <${Card} title="Attempts" aside=${html`<span class="small dim">${many(execution.failures, "failure")}${execution.crashes > 0 && `, ${many(execution.crashes, "crash", "crashes")}`}</span>`}><${Attempts} execution=${execution} /><//>
        <${Given} execution=${execution} task=${task} />
        <${Kept} execution=${execution} />
        ${task?.events.length > 0 && html`<${Deliveries} execution=${execution} />`}
      </div>
    </div>`;
}

const Path = ({ execution, name }) =>
  html`<nav class="small dim" aria-label="Where this is"><a href=${link("executions")}>Executions</a> / <a href=${link("tasks", execution.taskId)} dir="auto">${name}</a> / <span class="mono">${short(execution.id)}</span></nav>`;

function Summary({ execution }) {
  const late = lateness(execution);
  return html`<span class="row"><${State} name=${execution.state} />
    ${execution.nominal ? html`<span>for <${When} at=${execution.nominal} both /></span>` : html`<span>run by hand over ${execution.channel}</span>`}
    ${late > 0 && html`<span>· started ${duration(late)} after its time</span>`}
    ${execution.startedAt && html`<span>· ${execution.state === "RUNNING" ? "running for " : "took "}<${Took} execution=${execution} /></span>`}
    ${execution.node && html`<span>· on ${execution.node}</span>`}</span>`;
}

function Actions({ execution, task, done }) {
  const { state, taskId } = execution;
  const last = task?.lastExecution === execution.id;
  const retriable = last && (state === "FAILED" || state === "TIMED_OUT");
  return html`
    ${state === "CRASHED" && task && html`<${ResumeExecution} task=${taskId} done=${done} />`}
    ${retriable && html`<${RetryExecution} task=${taskId} done=${done} /><${RetryExecution} reset task=${taskId} done=${done} />`}
    ${task && html`<${RunAgain} execution=${execution} />`}
    ${execution.lingers && html`<${ReleaseExecution} execution=${execution} done=${done} />`}
    ${(isOpen(execution) || state === "CRASHED") && html`<${CancelExecution} execution=${execution} done=${done} />`}`;
}

/** The executions of the task, the oldest first, with this one marked; `[` and `]` go from one to the next. */
function Around({ execution, around }) {
  const rows = [...around].reverse();
  const at = rows.findIndex((one) => one.id === execution.id);
  const before = at > 0 ? rows[at - 1] : null;
  const next = at >= 0 && at < rows.length - 1 ? rows[at + 1] : null;
  // The keys go where the links do, from the moment that these can be seen.
  useLayoutEffect(() => {
    const undo = [onKey("[", () => before && go(executionLink(before))), onKey("]", () => next && go(executionLink(next)))];
    return () => undo.forEach((one) => one());
  }, [before?.id, next?.id]);
  if (at < 0) return null;
  const way = (to, label, text) =>
    to ? html`<a class="button small" href=${executionLink(to)} title=${label}>${text}</a>` : html`<button type="button" class="small" disabled title=${label}>${text}</button>`;
  return html`<nav class="row" aria-label="Executions of this task">
    ${way(before, "The one before ( [ )", "‹ Before")}<${Strip} large rows=${rows} current=${execution.id} label=${`The last ${rows.length} executions of the task`} />${way(next, "The next one ( ] )", "Next ›")}
  </nav>`;
}

const LEADS = { governor: ["catch-up", "Catch-up"], queue: ["queues", "Queues and limits"], key: ["queues", "Queues and limits"], slot: ["nodes", "Nodes"], node: ["nodes", "Nodes"], worker: ["queues", "Queues and limits"] };

/** What has to be known before anything else: what it waits for, why it is held, why it was cancelled. */
function Notes({ execution, task }) {
  const { state, waitsFor, cancelReason, lingers, expiresAt, concurrencyKey } = execution;
  const [page, title] = LEADS[waitsFor] ?? [];
  const others = waitsFor === "overlap" ? (task?.open ?? []).filter((id) => id !== execution.id) : [];
  return html`
    ${state === "WAITING" &&
    html`<div class="note warn" role="status"><strong>Waiting: </strong><${Waits} execution=${execution} />${waitsFor === "key" && concurrencyKey && html` <code>${concurrencyKey}</code>`}
      ${waitsFor === "dependency" && task?.parents.map((one) => html` · <a href=${link("tasks", one.id)} dir="auto">${one.name ?? short(one.id)}</a> ${one.lastState && html`<${State} name=${one.lastState} />`}`)}
      ${others.map((id) => html` · <a class="mono" href=${link("executions", id)}>${short(id)}</a>`)}
      ${page && html` · <a href=${link(page)}>${title}</a>`}
      ${expiresAt && html`<div class="small dim">It is given up if it has not started by then: <${When} at=${expiresAt} both /></div>`}</div>`}
    ${state === "CRASHED" && html`<div class="note warn" role="status"><strong>Held.</strong> Its process went away in the middle of it. Resume it to go on from its checkpoint, or cancel it.</div>`}
    ${cancelReason && html`<div class="note anywhere">${execution.state === "RUNNING" && html`<strong>Asked to stop. </strong>`}${cancelReason[0].toUpperCase()}${cancelReason.slice(1)}</div>`}
    ${lingers && html`<div class="note warn">It has ended, but its abandoned handler has not returned: it still occupies its task and a slot. Release it if you are sure that it does no harm.</div>`}`;
}

function Doing({ execution }) {
  const progress = useProgress(execution);
  if (!progress || (progress.done == null && !progress.step)) return null;
  const details = progress.details && Object.entries(progress.details).map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)]);
  return html`<${Card} title="Progress" aside=${html`<span class="small dim">told <${When} at=${progress.at} /></span>`}>
    <div class="stack"><${Progress} progress=${progress} startedAt=${execution.startedAt} running=${execution.state === "RUNNING"} />${details?.length > 0 && html`<${Facts} rows=${details} />`}</div><//>`;
}

function About({ execution, task }) {
  const { id, nominal, assigned, createdAt, firstStartedAt, startedAt, endedAt, outcome, reason, correlation } = execution;
  const late = lateness(execution);
  return html`<${Facts} rows=${[
    ["Execution", html`<code class="anywhere">${id}</code>`],
    ["Task", html`<a href=${link("tasks", execution.taskId)} dir="auto">${task?.name ?? short(execution.taskId)}</a>`],
    ["Type", task?.taskType],
    ["Nominal time", nominal && html`<${When} at=${nominal} both fine />`],
    ["Assigned", assigned && html`<${When} at=${assigned} both fine />`],
    ["Outcome", outcome && `${word(outcome)}${reason && reason !== outcome ? `: ${reason.replaceAll("_", " ")}` : ""}`],
    ["Lateness", late !== null && duration(late)],
    ["Asked for", nominal ? null : html`over ${execution.channel}, <${When} at=${createdAt} both />`],
    ["First start", execution.attempt > 1 && html`<${When} at=${firstStartedAt} both fine />`],
    ["Started", startedAt && html`<${When} at=${startedAt} both fine />`],
    ["Ended", endedAt && html`<${When} at=${endedAt} both fine />`],
    ["Took", startedAt && html`<${Took} execution=${execution} />`],
    ["With all tries", execution.attempt > 1 && endedAt && !isOpen(execution) && duration(millis(endedAt) - millis(firstStartedAt))],
    ["Node", execution.node],
    ["Meant for", execution.target],
    ["Fence", execution.fence || null],
    ["Key", execution.concurrencyKey && html`<code>${execution.concurrencyKey}</code>`],
    ["Correlation", correlation && html`<code class="anywhere">${correlation}</code>`],
    ["Waits for it", task?.children.length > 0 && task.children.map((one) => html`<div><a href=${link("tasks", one.id)} dir="auto">${one.name ?? short(one.id)}</a></div>`)],
    ["It waits for", task?.parents.length > 0 && task.parents.map((one) => html`<div><a href=${link("tasks", one.id)} dir="auto">${one.name ?? short(one.id)}</a></div>`)],
  ].map(([name, value]) => [name, value === false ? null : value])} />`;
}

function Given({ execution, task }) {
  const own = execution.parameters;
  const value = own ?? task?.parameters;
  if (!value) return null;
  if (!Object.keys(value).length) return html`<${Card} title="Parameters"><p class="dim small">None.</p><//>`;
  return html`<${Card} title="Parameters"><${Json} value=${value} note=${own ? "of this run alone" : "of the task, as it stands now"} /><//>`;
}

function Kept({ execution }) {
  const { checkpoint, checkpoints } = execution;
  if (checkpoint === null || checkpoint === undefined) return null;
  return html`<${Card} title="Checkpoint"><${Json} value=${checkpoint} note=${checkpoints > 0 ? `saved ${many(checkpoints, "time")}` : ""} /><//>`;
}

const DELIVERED = { delivered: "COMPLETED", retry: "WAITING", given_up: "FAILED", fired: "RUNNING", suppressed: "CANCELLED" };

function Deliveries({ execution }) {
  const found = useLoaded((signal) => get(path`/tasks/${execution.taskId}/deliveries`, { limit: 100 }, signal), [execution.taskId, execution.state]);
  const rows = (found.data?.list ?? []).filter((one) => one.executionId === execution.id);
  return html`<${Card} title="What followed">${rows.length === 0
    ? html`<p class="dim small">Nothing was to be sent about it.</p>`
    : html`<ul class="plain-list">${rows.map(
        (one) => html`<li key=${one.id}><div class="row spread"><strong class="anywhere">${one.event}</strong><span title=${word(one.state)}><${State} name=${DELIVERED[one.state] ?? one.state} title=${word(one.state)} /></span></div>
          <div class="small dim anywhere"><${When} at=${one.at} /> · ${word(one.state)}${one.detail && ` · ${one.detail}`}${one.retryAt && html` · again <${When} at=${one.retryAt} />`}</div></li>`,
      )}</ul>`}<//>`;
}

/** The chain of causes, as `tocsin why` tells it. */
function Why({ execution }) {
  const why = useLoaded((signal) => get(path`/tasks/${execution.id}/why`, {}, signal).catch(orNull), [execution.id, execution.state]);
  if (!why.data) return null;
  return html`<${Card} title="Why"><ul class="plain-list small">${why.data.lines.map((line) => html`<li class="anywhere">${line}</li>`)}</ul><//>`;
}
