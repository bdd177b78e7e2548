// Instants, drawn: near or far in words, the whole of it on demand.

import { html } from "../lib.js";
import { clock, full, relative, useNow, zone } from "../format.js";
import { useStore } from "../store.js";

/** How far an instant is, with the instant itself beside it on demand. `both`: show both. */
export function When({ at, both, fine }) {
  const present = useNow();
  const zoned = useStore(zone);
  if (at == null) return html`<span class="dim">–</span>`;
  const exact = full(at, { fine });
  const title = `${exact} ${zoned === "utc" ? "UTC" : ""}`.trim();
  return html`<time datetime=${at} title=${title} class=${both ? "" : "nowrap"}>${both ? `${exact} (${relative(at, present)})` : relative(at, present)}</time>`;
}

/** The time of day alone. */
export function Clock({ at, fine }) {
  useStore(zone);
  return html`<time datetime=${at} title=${full(at, { fine: true })}>${clock(at, { fine })}</time>`;
}
