// What can be done with one task beyond what its list offers: other parameters, another trigger, away for good.

import { html, useState } from "../lib.js";
import { may, path, post } from "../api.js";
import { pretty, short } from "../format.js";
import { go, link } from "../router.js";
import { Action } from "./action.js";
import { commandLine, curlLine, Elsewhere } from "./copy.js";
import { asCommand } from "./definition.js";
import { Dialog } from "./dialog.js";
import { hasFailed, ResumeExecution, RetryExecution } from "./executions.js";
import { refusal } from "./field.js";
import { CancelTask, PauseOrActivate, RunNow, taskName } from "./tasks.js";
import { say } from "./toast.js";
import { Preview, TriggerEditor, usePreview } from "./trigger.js";
import { isStarted, readTrigger, writeTrigger } from "./trigger_model.js";

/** JSON if it is; else the text itself, which the node refuses and says why. */
function meant(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function RunWith({ task, done }) {
  const field = {
    name: "parameters",
    label: "Parameters of this run",
    hint: "as JSON; the task's own stay as they are",
    multiline: true,
    value: pretty(task.parameters),
  };
  return html`<${Action} label="Run with …" title=${`Run ${taskName(task)} with other parameters`} where=${path`/tasks/${task.itemId}/run`} fields=${[field]}
    body=${({ parameters }) => ({ parameters: meant(parameters) })}
      cli=${({ parameters }) => commandLine("task", "run", taskName(task), "--params", parameters)}
    said=${(made) => `Asked to run: ${short(made.id)}`} done=${done} />`;
}

function ActivateWith({ task, done }) {
  const [open, setOpen] = useState(false);
  return html`<button type="button" aria-haspopup="dialog" disabled=${!may("operator")} onClick=${() => setOpen(true)}>Activate with …</button>
    ${open && html`<${AnotherTrigger} task=${task} done=${done} close=${() => setOpen(false)} />`}`;
}

function AnotherTrigger({ task, done, close }) {
  const [form, setForm] = useState(() => readTrigger(task.trigger));
  const [state, setState] = useState({ error: null, busy: false });
  const preview = usePreview(form, { task: task.itemId, count: 5 });
  const where = path`/tasks/${task.itemId}/activate`;
  const body = { trigger: writeTrigger(form) };
  const send = async (event) => {
    event.preventDefault();
    setState({ error: null, busy: true });
    try {
      await post(where, body);
      say("Activated");
      close();
      done?.();
    } catch (error) {
      setState({ error, busy: false });
    }
  };
  return html`<${Dialog} wide title=${`Activate ${taskName(task)} with another trigger`} close=${close}>
    <form onSubmit=${send} noValidate>
      <${TriggerEditor} form=${form} set=${setForm} refused=${refusal(state.error) ?? preview.refused} />
      <section class="sunken" aria-label="Preview"><${Preview} preview=${preview} /></section>
      ${state.error && html`<div class="note bad" role="alert"><strong>${state.error.error}.</strong> ${state.error.message}</div>`}
      <${Elsewhere} cli=${asCommand(body, taskName(task)).replace("task edit", "task activate")} curl=${curlLine("POST", where, body)} />
      <div class="buttons"><button type="button" onClick=${close}>Leave it</button><button class="primary"
        disabled=${state.busy || !isStarted(form)}>Activate</button></div>
    </form>
  <//>`;
}

function DeleteForGood({ task }) {
  return html`<${Action} danger label="Delete for good" title=${`Delete ${taskName(task)} for good`} method="DELETE"
    where=${`${path`/tasks/${task.itemId}`}?permanent=true`}
    about="The task goes, with its executions, its logs and its ledger. There is no way back; to keep its history, cancel it."
      cli=${commandLine("task", "delete", taskName(task))}
    said=${`Deleted ${taskName(task)}`} done=${() => go(link("tasks"))} />`;
}

/** All that can be done with it as it stands. `done`: called after each. */
export function TaskActions({ task, done }) {
  const failed = hasFailed(task.lastState) && task.lastState !== "CRASHED" && task.open.length === 0;
  // The node's own tasks are as the configuration says.
  const own = task.taskType.startsWith("system.");
  const rests = task.paused || task.phase !== "active";
  return html`
    <${RunNow} primary task=${task} done=${done} /><${RunWith} task=${task} done=${done} />
    ${
      failed &&
      html`<${RetryExecution} task=${task.itemId} done=${done} />${
        task.failureCount > 0 &&
        html`<${RetryExecution} reset task=${task.itemId}
      done=${done} />`
      }`
    }
    ${task.status === "CRASHED" && html`<${ResumeExecution} task=${task.itemId} done=${done} />`}
    <${PauseOrActivate} task=${task} done=${done} />${rests && html`<${ActivateWith} task=${task} done=${done} />`}
    ${
      !own &&
      html`<a class="button" href=${link("tasks", task.itemId, "edit")}>Edit</a><a class="button"
      href=${link("new", { from: task.itemId })}>Copy as new</a>`
    }
    ${task.phase === "cancelled" ? null : html`<${CancelTask} task=${task} done=${done} />`}<${DeleteForGood} task=${task} />`;
}
