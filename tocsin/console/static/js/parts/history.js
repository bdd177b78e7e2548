// How the executions of a task went: figures, and a chart of how long each took or how late it began.

import { html, useEffect, useRef, useState } from "../lib.js";
import { count, duration, full, millis } from "../format.js";
import { setQuery } from "../router.js";
import { looks, word } from "../states.js";
import { executionLink, hasFailed, lateness } from "./executions.js";
import { Tile } from "./page.js";

const took = ({ startedAt, endedAt }) => (startedAt && endedAt ? millis(endedAt) - millis(startedAt) : null);

const VIEWS = {
  duration: { label: "Duration", about: "from the start of its last attempt to its end", of: took },
  lateness: { label: "Lateness", about: "from its time to its first start", of: lateness },
};

/** The value that a part of the numbers does not exceed: `quantile(numbers, 0.95)`; null of none. */
export function quantile(numbers, part) {
  if (!numbers.length) return null;
  const sorted = [...numbers].sort((one, other) => one - other);
  return sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)];
}

const values = (executions, of) => executions.map(of).filter((value) => value !== null);

const figure = (value) => (value === null ? "–" : duration(value));

/** Figures of some executions. */
export function Figures({ executions, total }) {
  const ended = executions.filter((one) => one.endedAt);
  const bad = ended.filter((one) => hasFailed(one.state)).length;
  const [ran, late] = [values(ended, took), values(executions, lateness)];
  const over = `of the last ${count(executions.length)}`;
  return html`<div class="tiles task-figures">
    <${Tile} label="executions" value=${count(total)} about="that are kept" />
    <${Tile} label=${`failed, ${over}`} value=${ended.length ? `${Number(((100 * bad) / ended.length).toFixed(1))}%` : "–"}
      about=${`${bad} of ${ended.length} that have ended`} />
    <${Tile} label="duration, half are below" value=${figure(quantile(ran, 0.5))} about=${over} />
    <${Tile} label="duration, 95% are below" value=${figure(quantile(ran, 0.95))} about=${over} />
    <${Tile} label="lateness, half are below" value=${figure(quantile(late, 0.5))} about=${over} />
    <${Tile} label="lateness, 95% are below" value=${figure(quantile(late, 0.95))} about=${over} />
  </div>`;
}

const HEIGHT = 200;
const LEFT = 56;
const BOTTOM = 24;
const TOP = 10;

/** A round number not below the greatest value, in milliseconds, so that the lines of the axis have readable names. */
export function ceiling(greatest) {
  const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 3e4, 6e4, 12e4, 3e5, 6e5, 12e5, 18e5, 36e5, 72e5, 144e5, 432e5, 864e5];
  return steps.find((step) => step >= greatest) ?? Math.ceil(greatest / 864e5) * 864e5;
}

function useWidth() {
  const element = useRef(null);
  const [width, setWidth] = useState(640);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => setWidth(Math.max(240, Math.floor(entry.contentRect.width))));
    observer.observe(element.current);
    return () => observer.disconnect();
  }, []);
  return [element, width];
}

/** The chart of what `of` measures: a bar for each execution, the oldest first, coloured by its state; each leads to it. */
function Bars({ rows, view }) {
  const [element, width] = useWidth();
  const { of, label } = VIEWS[view];
  const measured = rows.map((row) => ({ row, value: of(row) }));
  const known = measured.map(({ value }) => value).filter((value) => value !== null);
  const top = ceiling(Math.max(1, ...known));
  const median = quantile(known, 0.5);
  const step = (width - LEFT - 8) / Math.max(rows.length, 12);
  const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top);
  const bar = ({ row, value }, at) => {
    const text = `${full(row.startedAt ?? row.createdAt)}: ${word(row.state).toLowerCase()}${value === null ? "" : `, ${label.toLowerCase()} ${duration(value)}`}`;
    const height = Math.max(2, y(0) - y(value ?? 0));
    return html`<a key=${row.id} href=${executionLink(row)} aria-label=${text} tabindex="-1"><title>${text}</title>
      <rect class="hit" x=${LEFT + at * step} y=${TOP} width=${step} height=${HEIGHT - TOP - BOTTOM} />
      <rect class=${`bar is-${looks(row.state).look}`} x=${LEFT + at * step + step * 0.1} y=${y(0) - height} width=${Math.max(1, step * 0.8)}
        height=${height} rx="1" /></a>`;
  };
  return html`<div class="chart" ref=${element}><svg width=${width} height=${HEIGHT} role="group"
    aria-label=${`${label} of each execution, the oldest first; the table below has the same`}>
    ${[0, 0.5, 1].map(
      (part) => html`<g key=${part}><line class="grid" x1=${LEFT} x2=${width} y1=${y(top * part)} y2=${y(top * part)} />
      <text class="axis" x=${LEFT - 6} y=${y(top * part) + 4} text-anchor="end">${part === 0 ? "0" : duration(top * part)}</text></g>`,
    )}
    ${measured.map(bar)}
    ${
      median !== null &&
      known.length > 1 &&
      html`<line class="median" x1=${LEFT} x2=${width} y1=${y(median)} y2=${y(median)} /><text class="axis"
      x=${width - 4} y=${Math.max(TOP + 8, y(median) - 4)} text-anchor="end">median ${duration(median)}</text>`
    }
    ${
      rows.length > 0 &&
      html`<text class="axis" x=${LEFT} y=${HEIGHT - 6}>${full(rows[0].startedAt ?? rows[0].createdAt)}</text>
      ${
        width > 420 &&
        rows.length > 1 &&
        html`<text class="axis" x=${width - 4}
        y=${HEIGHT - 6} text-anchor="end">${full(rows.at(-1).startedAt ?? rows.at(-1).createdAt)}</text>`
      }`
    }
  </svg></div>`;
}

/** The same as rows, for who does not see the chart; made when it is asked for. */
function AsTable({ rows }) {
  const [open, setOpen] = useState(false);
  return html`<details onToggle=${(event) => setOpen(event.currentTarget.open)}><summary>The same as a table</summary>${
    open &&
    html`<div class="table-box chart-table"><table>
    <thead><tr><th scope="col">Started</th><th scope="col">State</th><th scope="col" class="number">Duration</th><th scope="col" class="number">Lateness</th></tr></thead>
    <tbody>${rows.toReversed().map(
      (row) => html`<tr key=${row.id}><td><a
      href=${executionLink(row)}>${full(row.startedAt ?? row.createdAt)}</a></td><td>${word(row.state)}</td>
      <td class="number">${figure(took(row))}</td><td class="number">${figure(lateness(row))}</td></tr>`,
    )}</tbody></table></div>`
  }</details>`;
}

/** Chart and table. executions: the newest first, as the node tells them. view: "duration" or "lateness". */
export function History({ executions, view }) {
  const chosen = VIEWS[view] ? view : "duration";
  const rows = executions.toReversed();
  if (!rows.length) return html`<p class="dim">It has not run yet. Run now, above, does not wait for its next time.</p>`;
  return html`<div class="stack">
    <div class="row" role="group" aria-label="What the chart shows">${Object.entries(VIEWS).map(
      ([name, { label, about }]) => html`<button
      key=${name} type="button" class="small" title=${about}
      aria-pressed=${name === chosen} onClick=${() => setQuery({ view: name === "duration" ? null : name })}>${label}</button>`,
    )}
      <span class="small dim">${VIEWS[chosen].about}</span></div>
    <${Bars} rows=${rows} view=${chosen} />
    <${AsTable} rows=${rows} />
  </div>`;
}
