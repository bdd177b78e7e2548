// A figure over the last minutes, without axes: its shape, its highest value.

import { html } from "../lib.js";

const WIDTH = 240;
const HEIGHT = 36;

/** points: {at, value}, the oldest first. words: of a value, for readers. */
export function Sparkline({ points, label, words }) {
  if (points.length < 2) return html`<svg class="spark" viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label=${`${label}: not enough looks yet`}></svg>`;
  const most = Math.max(...points.map(({ value }) => value), 0);
  const from = points[0].at;
  const length = points.at(-1).at - from || 1;
  const line = points.map(({ at, value }) => `${(((at - from) / length) * WIDTH).toFixed(1)},${(HEIGHT - 2 - (most ? value / most : 0) * (HEIGHT - 6)).toFixed(1)}`);
  return html`<svg class="spark" viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label=${`${label}: now ${words(points.at(-1).value)}, at most ${words(most)}`}>
    <path class="spark-area" d=${`M0,${HEIGHT}L${line.join("L")}L${WIDTH},${HEIGHT}Z`} /><path class="spark-line" d=${`M${line.join("L")}`} />
  </svg>`;
}
