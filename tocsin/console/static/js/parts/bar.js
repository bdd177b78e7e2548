// How much of something: a bar with its words beside it, never the bar alone.

import { classes, html } from "../lib.js";

/** `value` of `most`. words: what stands beside it, if not both numbers. warn: it is worth a look. */
export function Bar({ value, most, words, warn, label }) {
  const part = most > 0 ? Math.min(1, value / most) : 0;
  return html`<span class=${classes("gauge", warn && "warn")}>
    <span class="gauge-track" role="meter" aria-label=${label} aria-valuemin="0" aria-valuemax=${most} aria-valuenow=${value}>
      <span style=${{ width: `${part * 100}%` }}></span></span>
    <span class="gauge-words">${words ?? `${value} of ${most}`}</span>
  </span>`;
}

/** Something that holds, with its sign and its word. look: as a state's: completed, waiting, failed, cancelled, ... */
export const Sign = ({ look, sign, children, title }) => html`<span class=${`state is-${look}`} data-sign=${sign} title=${title}>${children}</span>`;
