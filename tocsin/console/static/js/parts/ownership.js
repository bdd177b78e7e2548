// Who owns which partition: a square for each, in the colour and with the letters of its owner.

import { classes, html, useEffect, useRef, useState } from "../lib.js";
import { many } from "../format.js";
import { setQuery } from "../router.js";
import { lookOf, Swatch } from "./nodes.js";

const WIDTH = 16;

/** Milliseconds for which a partition that has just moved is marked. */
const FRESH = 6_000;

const KEYS = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: WIDTH, ArrowUp: -WIDTH };

/** number -> when its owner changed while this was looked at. */
function useMoves(list) {
  const known = useRef(null);
  const moves = useRef(new Map());
  const now = performance.now();
  for (const { number, owner } of list) {
    const before = known.current?.get(number);
    if (known.current?.has(number) && before !== owner) moves.current.set(number, now);
  }
  known.current = new Map(list.map(({ number, owner }) => [number, owner]));
  for (const [number, at] of moves.current) if (now - at > FRESH) moves.current.delete(number);
  return moves.current;
}

const told = ({ number, owner, epoch }) => `Partition ${number}: ${owner ?? "nobody"}${epoch == null ? "" : `, epoch ${epoch}`}`;

/** The squares, 16 in a row. list: {number, owner, epoch}. chosen: the number of the one that the page tells more of. */
export function Ownership({ list, looks, chosen }) {
  const moves = useMoves(list);
  const [seen, setSeen] = useState(null);
  const grid = useRef(null);
  const [at, setAt] = useState(chosen ?? 0);
  const focused = useRef(false);
  useEffect(() => {
    if (focused.current) grid.current?.querySelector(`[data-number="${at}"]`)?.focus();
  }, [at]);
  const press = (event) => {
    const step = KEYS[event.key];
    if (step === undefined || at + step < 0 || at + step >= list.length) return;
    event.preventDefault();
    focused.current = true;
    setAt(at + step);
    setSeen(at + step);
  };
  const choose = (event) => {
    const number = event.target.closest("[data-number]")?.dataset.number;
    if (number === undefined) return;
    setAt(Number(number));
    setQuery({ partition: Number(number) === chosen ? null : number });
  };
  const over = (event) => {
    const number = event.target.closest("[data-number]")?.dataset.number;
    if (number !== undefined) setSeen(Number(number));
  };
  const rows = Array.from({ length: Math.ceil(list.length / WIDTH) }, (_, row) => list.slice(row * WIDTH, (row + 1) * WIDTH));
  const shown = list[seen ?? chosen];
  return html`<div class="stack">
    <div ref=${grid} class="partitions" role="grid" aria-label=${`Owners of ${many(list.length, "partition")}`} onKeyDown=${press} onClick=${choose}
        onMouseOver=${over} onMouseLeave=${() => setSeen(null)} onFocusIn=${over}>
      ${rows.map(
        (row) => html`<div role="row" class="partition-row">${row.map((one) => {
          const look = lookOf(looks, one.owner);
          return html`<span role="gridcell"><button type="button" data-number=${one.number} tabindex=${one.number === at ? 0 : -1} aria-label=${told(one)} title=${told(one)}
            aria-pressed=${one.number === chosen} class=${classes("partition", look.class, moves.has(one.number) && "moved")}>${look.letters}</button></span>`;
        })}</div>`,
      )}
    </div>
    <p class="small dim" aria-live="polite">${shown ? `${told(shown)}. Press it for more.` : "Point at a partition, or move with the arrow keys. What has just moved has a ring."}</p>
  </div>`;
}

/** Which colour and letters are whose, with the shares. */
export function Shares({ list, looks, nodes }) {
  const counts = new Map();
  for (const { owner } of list) counts.set(owner, (counts.get(owner) ?? 0) + 1);
  const names = [...new Set([...nodes, ...counts.keys()].filter((name) => name !== null))];
  return html`<ul class="shares" aria-label="Partitions by owner">
    ${names.map((name) => html`<li key=${name}><${Swatch} look=${lookOf(looks, name)} /><span class="anywhere">${name}</span><span class="number">${counts.get(name) ?? 0}</span></li>`)}
    ${counts.get(null) ? html`<li key=""><${Swatch} look=${lookOf(looks, null)} /><strong>nobody</strong><span class="number">${counts.get(null)}</span></li>` : null}
  </ul>`;
}
