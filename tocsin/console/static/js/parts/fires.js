// Times to come: in the reader's zone and in the task's, with those that a calendar excludes, and what changes of the clock do.

import { html } from "../lib.js";
import { full, millis, zone } from "../format.js";
import { useStore } from "../store.js";
import { When } from "./time.js";

const PARTS = { weekday: "short", year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };

/** One for each zone: to make one costs far more than to use it. */
const writers = new Map();

function writerOf(timezone) {
  if (!writers.has(timezone)) {
    try {
      writers.set(timezone, new Intl.DateTimeFormat("en-GB", { ...PARTS, timeZone: timezone }));
    } catch {
      writers.set(timezone, new Intl.DateTimeFormat("en-GB", { ...PARTS, timeZone: "UTC" }));
    }
  }
  return writers.get(timezone);
}

/** An instant in a zone, `Mon 2026-11-23 02:30:00`; in UTC where the browser does not know the zone. */
export function inZone(instant, timezone) {
  const part = Object.fromEntries(
    writerOf(timezone || "UTC")
      .formatToParts(millis(instant))
      .map(({ type, value }) => [type, value]),
  );
  return `${part.weekday} ${part.year}-${part.month}-${part.day} ${part.hour}:${part.minute}:${part.second}`;
}

/** Rows of times. `timezone`: of the task, UTC if it has none. */
export function Fires({ fires, timezone, label = "Next times" }) {
  const zoned = useStore(zone);
  const theirs = timezone || "UTC";
  const own = zoned === "utc" ? "UTC" : Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!fires.length) return html`<p class="dim">It will not fire: no time is left.</p>`;
  return html`<table class="fires"><caption class="for-readers">${label}</caption>
    <thead><tr><th scope="col">${theirs}</th><th scope="col" class="number">In</th></tr></thead>
    <tbody>${fires.map(
      (fire) => html`<tr key=${fire.nominal} class=${fire.excludedBy ? "excluded" : ""}>
      <td><span class="fire-time">${inZone(fire.nominal, theirs)}</span>
        ${theirs !== own && html`<div class="tiny dim">${full(fire.nominal)} ${zoned === "utc" ? "UTC" : "here"}</div>`}
        ${fire.excludedBy && html`<div class="tiny">⊘ excluded by ${fire.excludedBy}</div>`}
        ${!fire.excludedBy && fire.assigned && fire.assigned !== fire.nominal && html`<div class="tiny dim">runs at ${inZone(fire.assigned, theirs)}</div>`}</td>
      <td class="number"><${When} at=${fire.nominal} /></td></tr>`,
    )}</tbody>
  </table>`;
}

/** How many of the times around a change are told: enough to see what happens. */
const AROUND = 4;

const EFFECTS = {
  none: "No time of this task is near: nothing changes.",
  moved: "Times that do not exist then run when the gap ends.",
  lost: "Times that do not exist then do not run.",
  twice: "Times that come twice run both times.",
  first: "Times that come twice run the first time only.",
  last: "Times that come twice run the second time only.",
};

/** The next changes of the clock, and what they do to the task. */
export function ClockChanges({ changes, empty }) {
  if (!changes?.length) return empty ? html`<p class="dim small">${empty}</p>` : null;
  return html`<ul class="clock-changes">${changes.map(
    (change) => html`<li key=${change.at}>
    <div class="row"><span aria-hidden="true">${change.kind === "gap" ? "⇥" : "⇤"}</span>
      <strong>${inZone(change.at, change.timezone).slice(0, 14)}</strong>
      <span class="small dim">${change.timezone}: clocks go ${change.kind === "gap" ? "forward" : "back"}, ${change.before} to ${change.after}</span></div>
    <div class=${change.effect === "none" ? "dim" : ""}>${EFFECTS[change.effect] ?? change.effect}</div>
    ${
      change.effect !== "none" &&
      change.around.length > 0 &&
      html`<div class="small dim">Around it: ${change.around
        .slice(0, AROUND)
        .map((at) => inZone(at, change.timezone))
        .join(", ")}${change.around.length > AROUND ? ", …" : ""}</div>`
    }
  </li>`,
  )}</ul>`;
}
