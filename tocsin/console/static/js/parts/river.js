// Hand-overs over time: how much each node owned, as bands that lie on each other, with what happened above them.

import { html, useMemo } from "../lib.js";
import { clock, day, many, zone } from "../format.js";
import { useStore } from "../store.js";
import { bands, causeOf, gathered, shares } from "../handovers.js";
import { lookOf, Swatch } from "./nodes.js";
import { Sign } from "./bar.js";
import { When } from "./time.js";

/** Points in time at which the owners are counted: a screen shows no more. */
const POINTS = 240;

const HEIGHT = 100;

const TICKS = 5;

function outline(edges) {
  const x = (i) => ((i / (edges.length - 1)) * 1000).toFixed(1);
  const y = (part) => (part * HEIGHT).toFixed(2);
  const upper = edges.map(([, high], i) => `${x(i)},${y(high)}`);
  const lower = edges.map(([low], i) => `${x(i)},${y(low)}`).reverse();
  return `M${upper.join("L")}L${lower.join("L")}Z`;
}

const inWords = (counts) => counts.map(([name, count]) => `${name ?? "a node that is not known any more"} (${count})`).join(", ");

/** What happened, in one line. */
export const happening = (one) =>
  `${many(one.partitions, "partition")}${one.givers.length ? ` from ${inWords(one.givers)}` : ""} to ${inWords(one.takers)}: ${causeOf(one.cause)[2]}`;

/** owners: of each partition now. events: the hand-overs since then, newest first. since, until: milliseconds. */
export function River({ owners, events, looks, since, until }) {
  const zoned = useStore(zone);
  const names = useMemo(() => {
    const known = new Set([...owners, ...events.flatMap(({ node, from }) => [node, from ?? null])]);
    const sorted = [...looks.keys()].filter((name) => known.has(name));
    return known.has(null) ? [...sorted, null] : sorted;
  }, [owners, events, looks]);
  const drawn = useMemo(() => bands(shares(owners, events, since, until, POINTS), names, owners.length), [owners, events, since, until, names]);
  const happened = useMemo(() => gathered(events.filter(({ at }) => Date.parse(at) >= since)), [events, since]);
  const place = (instant) => `${(((Date.parse(instant) - since) / (until - since)) * 100).toFixed(2)}%`;
  const ticks = Array.from({ length: TICKS }, (_, i) => since + ((until - since) * i) / (TICKS - 1));
  const long = until - since > 86_400_000;
  return html`<div class="stack">
    <div class="river" role="img" aria-label=${`Partitions by owner over time; ${many(happened.length, "hand-over")} in the list below`}>
      <div class="river-marks">${happened.map((one) => {
        const [look, sign] = causeOf(one.cause);
        return html`<span class=${`river-mark is-${look}`} style=${{ left: place(one.to) }} title=${`${clock(one.to)} ${happening(one)}`}>${sign}</span>`;
      })}</div>
      <div class="river-bands"><svg viewBox="0 0 1000 ${HEIGHT}" preserveAspectRatio="none" aria-hidden="true">
        ${drawn.map(({ name, edges }) => html`<path key=${name} d=${outline(edges)} class=${lookOf(looks, name).class}><title>${name ?? "nobody"}</title></path>`)}
        ${happened.map((one) => html`<line x1=${((Date.parse(one.to) - since) / (until - since)) * 1000} x2=${((Date.parse(one.to) - since) / (until - since)) * 1000} y1="0" y2=${HEIGHT} />`)}
      </svg>
      ${drawn.map(({ name, edges }) => {
        const [low, high] = edges.at(-1);
        return high - low > 0.08 && html`<span class="river-letters" style=${{ top: `${((low + high) / 2) * 100}%` }}>${lookOf(looks, name).letters}</span>`;
      })}</div>
      <div class="river-ticks" data-zone=${zoned}>${ticks.map((at) => html`<span>${long ? `${day(at).slice(5)} ` : ""}${clock(at).slice(0, until - since < 3_600_000 ? 8 : 5)}</span>`)}</div>
    </div>
    <${Happenings} all=${happened} looks=${looks} />
  </div>`;
}

function Happenings({ all, looks }) {
  if (!all.length) return html`<p class="dim small">No partition has changed its owner in this time. Stop a node, or drain one, and watch.</p>`;
  return html`<ul class="happenings" aria-label="Hand-overs, the newest first">
    ${all.slice(0, 12).map((one) => {
      const [look, sign, words] = causeOf(one.cause);
      return html`<li key=${`${one.cause} ${one.from}`}>
        <span class="small dim"><${When} at=${one.to} both /></span>
        <${Sign} look=${look} sign=${sign} title=${words}>${one.cause[0].toUpperCase() + one.cause.slice(1)}<//>
        <span class="anywhere">${many(one.partitions, "partition")} ${one.givers.length > 0 && html`from <${Names} counts=${one.givers} looks=${looks} />`} to <${Names} counts=${one.takers} looks=${looks} />: ${words}</span>
      </li>`;
    })}
    ${all.length > 12 && html`<li class="dim small">and ${all.length - 12} before</li>`}
  </ul>`;
}

const Names = ({ counts, looks }) =>
  counts.map(([name, count], i) => html`${i > 0 && ", "}<span key=${name}><${Swatch} look=${lookOf(looks, name)} /> ${name ?? "a node that is not known any more"} (${count})</span>`);
