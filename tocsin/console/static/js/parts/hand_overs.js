// Who had which partition before: the history of a span that the address chooses, and what is seen to move meanwhile.

import { html, useEffect, useMemo, useRef } from "../lib.js";
import { count } from "../format.js";
import { MOST, readHandOvers } from "../handover_history.js";
import { causeOf, merged } from "../handovers.js";
import { useLoaded } from "../load.js";
import { setQuery } from "../router.js";
import { Sign } from "./bar.js";
import { lookOf, Swatch } from "./nodes.js";
import { Card, Facts, Loaded, Problem } from "./page.js";
import { River } from "./river.js";
import { When } from "./time.js";

const MINUTE = 60_000;

/** What may be looked back at: [in the address, in words, milliseconds]. */
const SPANS = [
  ["10m", "10 minutes", 10 * MINUTE],
  ["1h", "1 hour", 60 * MINUTE],
  ["1d", "1 day", 1_440 * MINUTE],
  ["7d", "7 days", 10_080 * MINUTE],
];

const USUAL = "1h";

/** Hand-overs that are told of one partition. */
const OF_ONE = 10;

/** The span that the address says, as one of those there are. */
export const spanOf = ({ span }) => SPANS.find(([name]) => name === span) ?? SPANS.find(([name]) => name === USUAL);

/** The hand-overs of a span: {events: newest first, since: milliseconds, loaded}. It is read again when an owner or an epoch of `list` has changed. */
export function useHistory([name, , length], moved, list) {
  const loaded = useLoaded((signal) => readHandOvers(Date.now() - length, {}, signal), [name]);
  const standing = list?.map(({ owner, epoch }) => `${owner} ${epoch}`).join();
  const before = useRef(standing);
  useEffect(() => {
    if (before.current !== undefined) loaded.again();
    before.current = standing;
  }, [standing]);
  const { data } = loaded;
  const events = useMemo(() => merged(data?.list ?? [], moved.events), [data, moved.events]);
  return { events, loaded, span: length, seenSince: moved.since };
}

function Spans({ query }) {
  const [now] = spanOf(query);
  return html`<div class="row switches" role="group" aria-label="How far back">
    ${SPANS.map(([name, words]) => html`<button key=${name} type="button" class="small" aria-pressed=${name === now} title=${`The last ${words}`} onClick=${() => setQuery({ span: name === USUAL ? null : name })}>${words}</button>`)}
  </div>`;
}

/** The card. list: the partitions as they are owned now. */
export function HandOvers({ history, list, looks, query }) {
  const { events, loaded, span, seenSince } = history;
  const owners = list.map(({ owner }) => owner);
  const { known = true, more = false } = loaded.data ?? {};
  // What has just moved may bear a clock that is a little ahead of the reader's.
  const until = Math.max(Date.now(), ...events.slice(0, 1).map(({ at }) => Date.parse(at)));
  const from = known ? until - span : Math.max(seenSince ?? until, until - span);
  const since = Math.min(more ? Date.parse(events.at(-1).at) : from, until - MINUTE);
  return html`<${Card} title="Hand-overs" aside=${html`<${Spans} query=${query} />`}>
    ${loaded.error && html`<${Problem} error=${loaded.error} again=${loaded.again} />`}
    ${!known && html`<p class="small dim" role="note">This node runs an older version, which keeps no history: seen since the console was opened.</p>`}
    ${more && html`<p class="small dim" role="note">More than ${count(MOST)} partitions have moved in this time: the newest are shown.</p>`}
    ${loaded.data === null && !loaded.error
      ? html`<div class="loading" role="status">Reading …</div>`
      : html`<${River} owners=${owners} events=${events} looks=${looks} since=${since} until=${until} />`}<//>`;
}

/** One partition: who owns it, and who had it before. events: what is known of all. */
export function Partition({ one, looks, events }) {
  const newest = events.find(({ partition }) => partition === one.number);
  const before = useLoaded((signal) => readHandOvers(0, { partition: one.number }, signal), [one.number, newest?.at]);
  return html`<section class="stack" aria-label=${`Partition ${one.number}`}>
    <div class="row spread"><h3>Partition ${one.number}</h3><button class="small plain" onClick=${() => setQuery({ partition: null })}>Close</button></div>
    <${Facts} rows=${[["Owner", one.owner ?? "nobody"], ["Epoch", one.epoch]]} />
    <${Loaded} of=${before}>${({ list }) => html`<${Takings} looks=${looks}
      rows=${merged(list, events.filter(({ partition }) => partition === one.number)).slice(0, OF_ONE)} />`}<//>
  </section>`;
}

function Takings({ rows, looks }) {
  if (!rows.length) return html`<p class="small dim">Nothing is known of an earlier owner.</p>`;
  return html`<ol class="happenings tight" aria-label="Its owners, the newest first">${rows.map((event) => {
    const [look, sign, words] = causeOf(event.cause);
    return html`<li key=${`${event.epoch} ${event.node}`}><span class="small dim">epoch ${event.epoch}</span>
      <span class="anywhere"><${Swatch} look=${lookOf(looks, event.node)} /> ${event.node ?? "not known any more"}</span>
      <span class="small"><${Sign} look=${look} sign=${sign} title=${words}>${event.cause[0].toUpperCase() + event.cause.slice(1)}<//> <${When} at=${event.at} /></span></li>`;
  })}</ol>`;
}
