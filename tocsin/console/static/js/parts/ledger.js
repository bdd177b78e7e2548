// The ledger of a task: one square for each of its last times, each with its outcome.

import { classes, html } from "../lib.js";
import { count } from "../format.js";
import { link } from "../router.js";
import { looks, shownOutcome, word } from "../states.js";
import { inZone } from "./fires.js";

const CLEAN = new Set(["COMPLETED"]);

/** What a row is shown as: late runs that ended well are told from those on time. */
const shown = (row) => (row.outcome === "late" && CLEAN.has(row.state) ? "late" : shownOutcome(row));

const named = (name) => (name ? word(name) : "Open");

function told(row, timezone) {
  const many = row.count > 1 || row.first !== row.last;
  const when = many ? `${row.count ?? "some"} times, ${inZone(row.first, timezone)} to ${inZone(row.last, timezone)}` : inZone(row.first, timezone);
  const reason = row.reason ? `, ${row.reason.replaceAll("_", " ")}` : "";
  return `${when}: ${named(shown(row)).toLowerCase()}${reason}${row.target ? ` on ${row.target}` : ""}`;
}

/** The squares. rows: outcomes, the oldest first. asked: the time that the page explains. */
export function Ledger({ rows, task, timezone, asked }) {
  if (!rows.length) return html`<p class="dim">No time of it has come yet.</p>`;
  const numbers = new Map();
  for (const row of rows) numbers.set(shown(row), (numbers.get(shown(row)) ?? 0) + (row.count ?? 1));
  return html`<div class="stack">
    <div class="strip large ledger" role="group" aria-label="Ledger, the oldest first">
      ${rows.map((row) => {
        const text = told(row, timezone);
        const href = row.executionId ? link("executions", row.executionId) : link("tasks", task, { at: row.first });
        return html`<a key=${`${row.first} ${row.target} ${row.outcome} ${row.reason}`} href=${href} class=${classes(asked === row.first && "asked")}
          title=${text} aria-label=${text}>
          <span class=${classes("square", `is-${looks(shown(row)).look}`, row.count > 1 && "range")}></span></a>`;
      })}
    </div>
    <div class="row small" aria-label="Legend">${[...numbers].map(([name, number]) => {
      const { look, sign, about } = looks(name);
      return html`<span key=${name} class=${`state is-${look}`} data-sign=${sign} title=${about}>${named(name)} ${count(number)}</span>`;
    })}</div>
  </div>`;
}
