// What can be done with a task, as buttons that the list of tasks and the page of one share.

import { html } from "../lib.js";
import { path } from "../api.js";
import { link } from "../router.js";
import { Action } from "./action.js";
import { commandLine } from "./copy.js";

const NOTE = { name: "note", label: "Note", hint: "Why; it is shown with the task, and in the audit log.", multiline: true };

/** Where a task is shown. */
export const taskLink = (task) => link("tasks", task.itemId);

/** How a task is called: by its name, else by its id. */
export const taskName = (task) => task.name ?? task.itemId;

export function RunNow({ task, done, ...more }) {
  return html`<${Action} ...${more} label="Run now" title=${`Run ${taskName(task)} now`} where=${path`/tasks/${task.itemId}/run`}
    about="One execution beside its times. Its own times stay as they are." cli=${commandLine("task", "run", taskName(task))}
    said="Asked to run" done=${done} />`;
}

export function PauseOrActivate({ task, done, ...more }) {
  const name = taskName(task);
  if (task.paused || task.phase !== "active") {
    return html`<${Action} ...${more} label="Activate" title=${`Activate ${name}`} where=${path`/tasks/${task.itemId}/activate`}
      about="It fires again from its next time on."
      cli=${commandLine("task", "activate", name)} said="Activated" done=${done} />`;
  }
  return html`<${Action} ...${more} label="Pause" title=${`Pause ${name}`} where=${path`/tasks/${task.itemId}/pause`}
    about="It fires nothing until it is activated. What runs now runs on." fields=${[NOTE]} body=${({ note }) => (note ? { note } : undefined)}
    cli=${({ note }) => commandLine("task", "pause", name, ...(note ? ["--note", note] : []))} said="Paused" done=${done} />`;
}

export function RetryTask({ task, done, ...more }) {
  return html`<${Action} ...${more} label="Retry" title=${`Retry ${taskName(task)}`} where=${path`/tasks/${task.itemId}/retry`}
    about="The last execution is tried once more." cli=${commandLine("task", "retry", taskName(task))} said="Tried again" done=${done} />`;
}

export function ResumeTask({ task, done, ...more }) {
  return html`<${Action} ...${more} label="Resume" title=${`Resume ${taskName(task)}`} where=${path`/tasks/${task.itemId}/resume`}
    about="The crashed execution goes on from its checkpoint." cli=${commandLine("task", "resume", taskName(task))} said="Goes on" done=${done} />`;
}

export function CancelTask({ task, done, ...more }) {
  return html`<${Action} ...${more} danger label="Cancel" title=${`Cancel ${taskName(task)}`} method="DELETE" where=${path`/tasks/${task.itemId}`}
    about="What runs is stopped, and it never fires again. Its record stays." cli=${commandLine("task", "cancel", taskName(task))} said="Cancelled" done=${done} />`;
}
