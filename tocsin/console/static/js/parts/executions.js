// What is said about executions, and what can be done with one, as the list of executions and the page of one share it.

import { html } from "../lib.js";
import { path } from "../api.js";
import { duration, millis, short, useNow } from "../format.js";
import { go, link } from "../router.js";
import { Action } from "./action.js";
import { commandLine } from "./copy.js";
import { When } from "./time.js";

const WAITS = {
  slot: "a free slot of a node",
  overlap: "the execution before it",
  retry: "its next try",
  node: "a node that can run it",
  queue: "room in its queue",
  key: "its concurrency key",
  dependency: "the tasks that it depends on",
  governor: "the catch-up governor",
  worker: "a worker",
};

export const executionLink = (execution) => link("executions", execution.id);

/** Whether something may still happen to it. A crashed one is held until somebody decides. */
export const isOpen = (execution) => execution.state === "WAITING" || execution.state === "RUNNING";

export const hasFailed = (state) => state === "FAILED" || state === "TIMED_OUT" || state === "CRASHED";

/** What a waiting execution waits for: in words, with the instant of the next try. */
export function Waits({ execution }) {
  if (execution.state !== "WAITING") return null;
  if (execution.waitsFor === "retry") return html`<span>next try <${When} at=${execution.retryAt} /></span>`;
  return execution.waitsFor ? html`<span>waits for ${WAITS[execution.waitsFor] ?? execution.waitsFor}</span>` : null;
}

/** Milliseconds from its nominal time (or its place in the spread window) to its first start; null where there is none. */
export function lateness(execution) {
  const due = execution.assigned ?? execution.nominal;
  const started = execution.firstStartedAt ?? execution.startedAt;
  return due && started ? Math.max(0, millis(started) - millis(due)) : null;
}

/** How long it took; of one that runs, how long it has taken by now. */
export function Took({ execution }) {
  return execution.state === "RUNNING" ? html`<${Running} since=${execution.startedAt} />` : html`${finished(execution)}`;
}

function Running({ since }) {
  const present = useNow();
  return since ? html`<span class="nowrap">${duration(Math.max(0, present - millis(since)))}</span>` : null;
}

function finished({ state, startedAt, endedAt }) {
  if (!startedAt || !endedAt || state === "WAITING") return "";
  return duration(millis(endedAt) - millis(startedAt));
}

/** The first line of what went wrong. */
export const failureLine = (failure) => (failure ? `${failure.type}: ${failure.message}`.split("\n", 1)[0] : "");

const NOTE = { name: "note", label: "Note", hint: "Why; its handler is told, and it is shown with the execution." };

export function CancelExecution({ execution, done, ...more }) {
  return html`<${Action} ...${more} danger label="Cancel" title="Cancel this execution" where=${path`/executions/${execution.id}/cancel`} fields=${[NOTE]}
    body=${({ note }) => (note ? { note } : undefined)} about="What runs is asked to stop, and its handler is told why. The task itself stays, and fires again at its next time."
    cli=${({ note }) => commandLine("execution", "cancel", execution.id, ...(note ? ["--note", note] : []))} said="Cancelled" done=${done} />`;
}

export function ReleaseExecution({ execution, done, ...more }) {
  return html`<${Action} ...${more} danger label="Release" title="Wait no longer for its handler" where=${path`/executions/${execution.id}/release`}
    about="It has ended, but its abandoned handler has not returned, and still occupies its task and a slot. Release it if you are sure that the handler does no harm any more."
    cli=${commandLine("execution", "release", execution.id)} said="Released" done=${done} />`;
}

/** The last execution of a task, which has failed, once more; `task`: the id. */
export function RetryExecution({ task, reset, done, ...more }) {
  const where = path`/tasks/${task}/retry`;
  return html`<${Action} ...${more} label=${reset ? "Retry, counting anew" : "Retry"} title="Try it once more" where=${reset ? `${where}?resetFailureCount=true` : where}
    about=${reset ? "It is tried once more at once, and its failures are counted from 0 again, so that it has all its retries." : "It is tried once more at once."}
    cli=${commandLine("task", "retry", task, ...(reset ? ["--reset"] : []))} said="Tried again" done=${done} />`;
}

export function ResumeExecution({ task, done, ...more }) {
  return html`<${Action} ...${more} primary label="Resume" title="Go on from its checkpoint" where=${path`/tasks/${task}/resume`}
    about="It is held since its process went away in the middle of it. It goes on from its last checkpoint, or from the beginning if it has none."
    cli=${commandLine("task", "resume", task)} said="Goes on" done=${done} />`;
}

/** A new execution with the parameters of this one; then that one is shown. */
export function RunAgain({ execution, ...more }) {
  const { parameters, taskId } = execution;
  const body = parameters ? { parameters } : undefined;
  return html`<${Action} ...${more} label="Run again" title="Run it again" where=${path`/tasks/${taskId}/run`} body=${body}
    about=${parameters ? "A new execution of its task, with the parameters that this one had." : "A new execution of its task, with the task's own parameters, as this one had them."}
    cli=${commandLine("task", "run", taskId, ...(parameters ? ["--params", JSON.stringify(parameters)] : []))}
    said=${(made) => `Asked to run: ${short(made.id)}`} done=${(made) => go(link("executions", made.id))} />`;
}
