// States and outcomes, drawn.

import { classes, html } from "../lib.js";
import { clock, day, duration, many, millis } from "../format.js";
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
  const times = row.count > 1 ? `${row.count} times ` : "";
  return `${time}${times}${name}${row.reason ? ` (${word(row.reason).toLowerCase()})` : ""}${took === null ? "" : ` in ${duration(took)}`}`;
}

/** What a row of squares says in words: `20 times: 18 completed, 2 failed`. */
export function tally(rows) {
  const counts = new Map();
  for (const row of rows) counts.set(shownOutcome(row), (counts.get(shownOutcome(row)) ?? 0) + 1);
  const said = [...counts].map(([name, number]) => `${number} ${word(name).toLowerCase() || "open"}`);
  return `${many(rows.length, "time")}: ${said.join(", ")}`;
}

/**
 * One square for each row, the oldest first; each leads to its execution where there is one. `large`: each is a stop for the keyboard too, which
 * in a table of many rows would be too many; there the whole is said in words. `current`: the id of the execution that is looked at.
 */
export function Strip({ rows, large, label, current }) {
  if (!rows?.length) return html`<span class="dim small">–</span>`;
  return html`<span class=${classes("strip", large && "large")} role="group" aria-label=${label ?? tally(rows)}>
    ${rows.map((row) => {
      const text = told(row);
      const execution = row.executionId ?? row.execution ?? row.id;
      const here = execution && execution === current;
      const square = html`<span class=${classes("square", `is-${looks(shownOutcome(row)).look}`, here && "here")} role="img" aria-label=${text} title=${text}></span>`;
      return typeof execution === "string"
        ? html`<a key=${execution} href=${link("executions", execution)} tabindex=${large ? undefined : -1} aria-current=${here ? "true" : undefined}>${square}</a>`
        : square;
    })}
  </span>`;
}
