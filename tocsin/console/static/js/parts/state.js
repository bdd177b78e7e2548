// States and outcomes, drawn.

import { classes, html } from "../lib.js";
import { clock, day, duration, millis } from "../format.js";
import { link } from "../router.js";
import { looks, shownOutcome, word } from "../states.js";

/** A state: its sign, its colour, its word. */
export function State({ name, title }) {
  const { look, sign, about } = looks(name);
  return html`<span class=${`state is-${look}`} data-sign=${sign} title=${title ?? about}>${word(name)}</span>`;
}

/** The words to a row of the ledger or an execution: `2026-11-22 09:30:00 completed in 1.2 s`. */
export function told(row) {
  const name = word(shownOutcome(row)).toLowerCase();
  const when = row.nominal ?? row.startedAt ?? row.at;
  const took = row.durationMs ?? (row.startedAt && row.endedAt ? millis(row.endedAt) - millis(row.startedAt) : null);
  const time = when ? `${day(when)} ${clock(when)} ` : "";
  return `${time}${name}${row.reason ? ` (${word(row.reason).toLowerCase()})` : ""}${took === null ? "" : ` in ${duration(took)}`}`;
}

/** One square for each row, the oldest first; each leads to its execution where there is one. */
export function Strip({ rows, large, label }) {
  if (!rows?.length) return html`<span class="dim small">–</span>`;
  return html`<span class=${classes("strip", large && "large")} role="group" aria-label=${label ?? `The last ${rows.length}`}>
    ${rows.map((row) => {
      const text = told(row);
      const square = html`<span class=${`square is-${looks(shownOutcome(row)).look}`} role="img" aria-label=${text} title=${text}></span>`;
      const execution = row.execution ?? row.id;
      return typeof execution === "string" ? html`<a href=${link("executions", execution)}>${square}</a>` : square;
    })}
  </span>`;
}
