// How far something is, drawn and in words.

import { html } from "../lib.js";
import { count, duration, millis, relative, useNow } from "../format.js";

/** What a progress says: the part that is done from 0 to 1 (null: the whole is not known), units per second, milliseconds that are left. */
export function measures(progress, startedAt) {
  const { done = null, total = null } = progress;
  const at = millis(progress.at);
  const left = progress.eta == null ? null : millis(progress.eta) - at;
  const part = total ? Math.min(1, Math.max(0, done / total)) : null;
  if (done === null) return { part, rate: null, left };
  const ran = startedAt == null ? null : at - millis(startedAt);
  const rate = left > 0 && total > done ? ((total - done) * 1_000) / left : ran > 0 ? (done * 1_000) / ran : null;
  return { part, rate, left };
}

const figure = (rate) => (rate >= 100 ? count(Math.round(rate)) : String(Number(rate.toPrecision(2))));

/** `348 of 2,000 · 5 a second · ends in 5 m 20 s` */
function Words({ progress, startedAt, running }) {
  const present = useNow();
  const { rate } = measures(progress, startedAt);
  const { done = null, total = null, eta } = progress;
  const words = [
    done !== null && (total ? `${count(done)} of ${count(total)}` : count(done)),
    running && rate > 0 && (rate >= 1 ? `${figure(rate)} a second` : `one in ${duration(1_000 / rate)}`),
    running && eta && millis(eta) > present && `ends ${relative(eta, present)}`,
  ];
  return html`${words.filter(Boolean).join(" · ")}`;
}

/** A bar of a progress {done, total, step, at, eta}, with what it says beside it. `brief`: the bar and the percentage alone. */
export function Progress({ progress, startedAt, brief, running = true }) {
  if (!progress) return null;
  const { part } = measures(progress, startedAt);
  const percent = part === null ? null : Math.floor(part * 100);
  const bar = percent !== null &&
    html`<div class="progress" role="progressbar" aria-label="Progress" aria-valuenow=${percent} aria-valuemin="0" aria-valuemax="100">
      <div style=${{ width: `${part * 100}%` }}></div></div>`;
  if (brief) {
    return html`<div class="progress-line">${bar}<span class="tiny dim truncate">${percent !== null && `${percent}% `}${progress.step}</span></div>`;
  }
  return html`<div class="stack">
    <div class="row spread"><strong>${percent === null ? "" : `${percent}%`}</strong><span class="small dim"><${Words} ...${{ progress, startedAt, running }} /></span></div>
    ${bar}
    ${progress.step && html`<div class="small anywhere">${progress.step}</div>`}
  </div>`;
}
