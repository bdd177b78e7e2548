// The whole scheduler: paused or not, and the switch.

import { html } from "../lib.js";
import { Action } from "./action.js";
import { commandLine } from "./copy.js";
import { When } from "./time.js";

const NOTE = { name: "note", label: "Note", hint: "Why; others see it here, and in the audit log.", multiline: true };

/** known: {paused, since, by, note}. done: called when it was switched. */
export function Scheduler({ known, done }) {
  if (!known.paused) {
    return html`<${Action} small whole danger label="Pause all" title="Pause the whole scheduler" where="/scheduler/pause" fields=${[NOTE]} body=${({ note }) => (note ? { note } : {})}
      about="No task starts anything until it is resumed, on any node, restarts included. What runs goes on. What comes due meanwhile is made up for later, under each task's catch-up policy."
      cli=${({ note }) => commandLine("scheduler", "pause", ...(note ? ["--note", note] : []))} said="The scheduler is paused" done=${done} />`;
  }
  return html`<div class="note warn" role="status"><div class="row spread">
    <span class="anywhere"><strong>‖ The scheduler is paused</strong>${known.by && ` by ${known.by}`}${known.since && html`, <${When} at=${known.since} />`}${known.note ? `: ${known.note}` : ""}. Nothing is started until it is resumed.</span>
    <${Action} small whole primary label="Resume all" title="Resume the whole scheduler" where="/scheduler/resume"
      about="It goes on. What came due meanwhile is made up for under each task's catch-up policy, at the pace of the governor." cli=${commandLine("scheduler", "resume")} said="The scheduler goes on" done=${done} />
  </div></div>`;
}
