// The columns of the list of tasks.

import { html } from "../lib.js";
import { count, short } from "../format.js";
import { hasFailed, failureLine, Waits } from "./executions.js";
import { Progress } from "./progress.js";
import { State, Strip } from "./state.js";
import { PauseOrActivate, RunNow, taskLink, taskName } from "./tasks.js";
import { When } from "./time.js";
import { triggerWords } from "./trigger_words.js";

const none = html`<span class="dim">–</span>`;

/** What is to be known about a task at once: what failed, what it waits for, how far it is, why it is paused. */
function Fact({ task, progress, last }) {
  if (task.status === "RUNNING" && progress) return html`<${Progress} brief progress=${progress} />`;
  const { failure } = last;
  const told = task.waitsFor ? task : last;
  const waits = task.open.length > 0 && told.waitsFor && html`<${Waits} execution=${{ state: "WAITING", waitsFor: told.waitsFor, retryAt: told.retryAt }} />`;
  const failed = failure && (hasFailed(task.lastState) || task.failureCount > 0);
  if (failed || waits) {
    return html`${failed && html`<div class="tiny fact-bad truncate" title=${`${failure.type}: ${failure.message}`}>${failureLine(failure)}</div>`}
      ${waits && html`<div class="tiny dim">${waits}</div>`}`;
  }
  if (task.paused && task.note) return html`<div class="tiny dim truncate" title=${task.note}>${task.note}${task.changedBy && ` (${task.changedBy})`}</div>`;
  return null;
}

function Name({ task, ...known }) {
  return html`<a class="name" dir="auto" href=${taskLink(task)}>${taskName(task)}</a>
    <div class="tiny dim truncate">${task.taskType} · ${triggerWords(task.trigger)}</div>
    <${Fact} task=${task} ...${known} />`;
}

/**
 * All columns. recent, progress, last: what is known about a task, by its id or the task; again: called when something was done.
 * `about` and `usual` as the choice of columns has them; whose: whether there are several tenants to tell apart.
 */
export function taskColumns({ recent, progress, last, again, whose }) {
  const text = (value) => (value ? html`<span class="small anywhere">${value}</span>` : none);
  const columns = [
    { label: "Task", sort: "name", lead: true, always: true, cell: (task) => html`<${Name} task=${task} progress=${progress(task)} last=${last(task)} />` },
    { label: "Status", sort: "status", fit: true, always: true, cell: (task) => html`<${State} name=${task.paused ? "PAUSED" : task.status} />` },
    { label: "Last times", fit: true, usual: true, about: "a square for each", cell: (task) => html`<${Strip} rows=${recent(task)} />` },
    { label: "Next", sort: "nextScheduledExecution", fit: true, usual: true, cell: (task) => html`<${When} at=${task.nextScheduledExecution} />` },
    { label: "Last", sort: "lastExecutionDate", fit: true, usual: true, cell: (task) => html`<${When} at=${task.lastExecutionDate} />` },
    { label: "Failures", sort: "failureCount", number: true, fit: true, usual: true, about: "since the last success", cell: (task) => count(task.failureCount) },
    { label: "Tenant", fit: true, usual: whose, cell: (task) => text(task.tenant) },
    { label: "Owner", fit: true, about: "who made it", cell: (task) => text(task.owner) },
    { label: "Runs on", fit: true, about: "the nodes that run it now", cell: (task) => text(task.runsOn.join(", ")) },
    { label: "Kept in", fit: true, about: "storage or memory", cell: (task) => html`<span class="small dim">${task.persistent ? "Storage" : `Memory${task.node ? ` of ${task.node}` : ""}`}</span>` },
    { label: "Type", sort: "taskType", fit: true, cell: (task) => text(task.taskType) },
    { label: "Queue", fit: true, cell: (task) => text(task.policies.queue) },
    { label: "Priority", number: true, fit: true, cell: (task) => count(task.policies.priority) },
    { label: "Completed", number: true, fit: true, about: "in all its life", cell: (task) => count(task.completed) },
    { label: "Failed", number: true, fit: true, about: "in all its life", cell: (task) => count(task.failed) },
    { label: "Tags", cell: (task) => (task.tags.length ? html`<span class="row tight">${task.tags.map((tag) => html`<span class="chip">${tag}</span>`)}</span>` : none) },
    { label: "Made", sort: "createdAt", fit: true, cell: (task) => html`<${When} at=${task.createdAt} />` },
    { label: "Id", sort: "itemId", fit: true, cell: (task) => html`<code class="tiny" title=${task.itemId}>${short(task.itemId)}</code>` },
  ];
  const actions = (task) =>
    html`<span class="row tight"><${RunNow} small plain task=${task} done=${again} /><${PauseOrActivate} small plain task=${task} done=${again} /></span>`;
  return [...columns, { label: "", fit: true, always: true, cell: actions }];
}
