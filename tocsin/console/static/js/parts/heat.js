// Minutes as squares on a canvas: the more fires, the stronger. A key moves through them, and words say what is under it.

import { html, useEffect, useLayoutEffect, useRef, useState } from "../lib.js";
import { useStore } from "../store.js";
import { steps, strength } from "../load_model.js";
import { theme } from "./frame.js";

/** Redraw when the colours or the width change. */
function useRedraw(canvas) {
  const [, set] = useState(0);
  useStore(theme);
  useEffect(() => {
    const again = () => set((count) => count + 1);
    const media = matchMedia("(prefers-color-scheme: dark)");
    const size = new ResizeObserver(again);
    media.addEventListener("change", again);
    size.observe(canvas.current);
    return () => {
      media.removeEventListener("change", again);
      size.disconnect();
    };
  }, []);
}

function draw(canvas, cells, most, height) {
  const ratio = devicePixelRatio || 1;
  const width = canvas.clientWidth;
  if (!width) return;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const style = getComputedStyle(canvas);
  const context = canvas.getContext("2d");
  context.fillStyle = style.backgroundColor;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = style.color;
  const w = canvas.width / cells.columns;
  const h = canvas.height / cells.rows;
  const gap = w > 5 * ratio ? ratio : 0;
  for (let row = 0; row < cells.rows; row += 1) {
    for (let column = 0; column < cells.columns; column += 1) {
      const fires = cells.at(row, column);
      if (!fires) continue;
      context.globalAlpha = strength(fires, most);
      context.fillRect(Math.floor(column * w), Math.floor(row * h), Math.max(Math.ceil(w) - gap, ratio), Math.ceil(h) - Math.min(gap, ratio));
    }
  }
  context.globalAlpha = 1;
}

const KEYS = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };

/**
 * cells: {rows, columns, at(row, column): fires, words(row, column): what is said of one, or null}. choose(row, column): one was pressed.
 * height: of the whole, in pixels. labels: of the rows.
 */
export function Heat({ cells, most, height, label, labels, foot, choose, chosen }) {
  const canvas = useRef(null);
  const [at, setAt] = useState(null);
  const [tip, setTip] = useState(null);
  useRedraw(canvas);
  useLayoutEffect(() => draw(canvas.current, cells, most, height));
  const under = (event) => {
    const box = canvas.current.getBoundingClientRect();
    const row = Math.floor(((event.clientY - box.top) / box.height) * cells.rows);
    const column = Math.floor(((event.clientX - box.left) / box.width) * cells.columns);
    return row >= 0 && row < cells.rows && column >= 0 && column < cells.columns ? [row, column] : null;
  };
  const press = (event) => {
    const [row, column] = at ?? chosen ?? [0, 0];
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      choose(row, column);
    }
    const step = KEYS[event.key];
    if (!step) return;
    event.preventDefault();
    setAt([Math.min(Math.max(row + step[0], 0), cells.rows - 1), Math.min(Math.max(column + step[1], 0), cells.columns - 1)]);
  };
  const told = at && cells.words(...at);
  const mark = at ?? chosen;
  return html`<div class="heat">
    <div class="heat-labels" aria-hidden="true">${labels}</div>
    <div class="heat-box">
      <canvas ref=${canvas} class="heat-canvas" style=${{ height: `${height}px` }} tabindex="0" role="application" aria-roledescription="heat map" aria-label=${`${label}. Arrow keys move, Enter tells more; the table below has the worst.`}
        onKeyDown=${press} onMouseMove=${(event) => (setAt(under(event)), setTip(event.offsetX))} onMouseLeave=${() => setAt(null)} onBlur=${() => setAt(null)}
        onClick=${(event) => under(event) && choose(...under(event))}></canvas>
      ${mark && html`<span class="heat-mark" style=${{ left: `${(mark[1] / cells.columns) * 100}%`, top: `${(mark[0] / cells.rows) * 100}%`, width: `${100 / cells.columns}%`, height: `${100 / cells.rows}%` }}></span>`}
      ${foot && html`<div class="heat-foot" aria-hidden="true">${foot}</div>`}
    </div>
    <p class="small dim heat-words" aria-live="polite">${told ?? "Point at it, or move with the arrow keys; press to see the tasks."}</p>
  </div>`;
}

/** What the colours mean. */
export const Scale = ({ most }) =>
  most > 0 &&
  html`<span class="row small dim">fires a minute: ${steps(most).map((fires) => html`<span class="row tight" key=${fires}><span class="heat-sample" style=${{ opacity: strength(fires, most) }}></span> ${fires}</span>`)}</span>`;
