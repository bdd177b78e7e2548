// The attempts of an execution on one line of time.

import { html } from "../lib.js";
import { duration, millis, useNow } from "../format.js";
import { failureLine } from "./executions.js";
import { State } from "./state.js";
import { looks } from "../states.js";
import { Clock, When } from "./time.js";

/** Where an attempt lies between the first start and the end: {left, width} in percent. */
export function placed(attempt, from, until) {
  const whole = Math.max(1, until - from);
  const begun = millis(attempt.startedAt) ?? from;
  const ended = millis(attempt.endedAt) ?? until;
  return { left: `${((begun - from) / whole) * 100}%`, width: `max(3px, ${((ended - begun) / whole) * 100}%)` };
}

function Attempt({ attempt, from, until, present, last, reason }) {
  const ended = millis(attempt.endedAt) ?? (attempt.state === "RUNNING" ? present : null);
  const took = ended !== null && attempt.startedAt ? duration(Math.max(0, ended - millis(attempt.startedAt))) : "";
  return html`<li class="attempt">
    <div class="row spread"><span class="row"><strong>${attempt.number}</strong><${State} name=${attempt.state} /></span>
      <span class="small dim">${attempt.startedAt && html`<${Clock} at=${attempt.startedAt} fine />`}${attempt.endedAt && html` – <${Clock} at=${attempt.endedAt} fine />`}${took && ` · ${took}`}</span></div>
    <div class="track"><div class=${`bar is-${looks(attempt.state).look}`} style=${placed(attempt, from, until)}></div></div>
    <div class="small dim anywhere">on ${attempt.node ?? "–"} under fence ${attempt.fence}${attempt.failure && html` · <span class="fact-bad">${failureLine(attempt.failure)}</span>`}${last && reason && ` · ${reason}`}</div>
  </li>`;
}

/** All attempts, with the next one if it is planned. */
export function Attempts({ execution }) {
  const { attempts, retryAt, state, cancelReason } = execution;
  const present = useNow();
  if (!attempts.length) return html`<p class="dim small">It has not been tried yet.</p>`;
  const from = Math.min(...attempts.map((one) => millis(one.startedAt) ?? present));
  const running = state === "RUNNING";
  const until = Math.max(from + 1, ...attempts.map((one) => millis(one.endedAt) ?? (running ? present : from)), millis(retryAt) ?? from);
  return html`<ol class="attempts">
    ${attempts.map((one, i) => html`<${Attempt} key=${one.number} attempt=${one} ...${{ from, until, present }} last=${i === attempts.length - 1} reason=${cancelReason} />`)}
    ${state === "WAITING" && retryAt && html`<li class="attempt"><div class="row"><strong>${attempts.length + 1}</strong><span class="small">the next try comes <${When} at=${retryAt} both /></span></div></li>`}
  </ol>`;
}
