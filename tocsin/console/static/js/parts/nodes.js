// Nodes, drawn: which colour, pattern and letters stand for which, everywhere on the page.

import { html } from "../lib.js";
import { Sign } from "./bar.js";

/** So many colours there are, and so many patterns: what is beyond both begins anew, and the letters still tell. */
const COLOURS = 8;
const PATTERNS = 3;

const STANDINGS = {
  alive: ["completed", "✓", "answers, and takes part"],
  suspect: ["waiting", "?", "has not answered for a moment: the others ask each other about it"],
  draining: ["late", "⇣", "takes nothing new and gives its partitions to others; what runs there goes on"],
  dead: ["failed", "✕", "has left, or nobody hears of it"],
};

/** How a node stands, with its sign. */
export function Standing({ state }) {
  const [look, sign, about] = STANDINGS[state] ?? ["scheduled", "·", ""];
  return html`<${Sign} look=${look} sign=${sign} title=${about}>${state[0].toUpperCase() + state.slice(1)}<//>`;
}

/** The part of names that they begin with in common. */
function common(names) {
  const [first = "", ...others] = names;
  let length = first.length;
  for (const name of others) while (!name.startsWith(first.slice(0, length))) length -= 1;
  return length;
}

/** name -> {class, letters}: by the order of the names, so that a node keeps its look while the others stay. */
export function lookOfNodes(names) {
  const sorted = [...new Set(names)].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const from = sorted.length > 1 ? common(sorted) : 0;
  const short = sorted.map((name) => [...(name.slice(from) || name)].slice(0, 2).join(""));
  return new Map(
    sorted.map((name, i) => {
      const unique = short.indexOf(short[i]) === short.lastIndexOf(short[i]);
      return [name, { class: `of-node of-node-${i % COLOURS} patterned-${Math.floor(i / COLOURS) % PATTERNS}`, letters: unique ? short[i] : String(i + 1) }];
    }),
  );
}

const NOBODY = { class: "of-nobody", letters: "–" };

/** The look of one node; null is nobody. */
export const lookOf = (all, name) => (name == null ? NOBODY : (all.get(name) ?? NOBODY));

/** A node's square with its letters. */
export function Swatch({ look }) {
  return html`<span class=${`swatch ${look.class}`} aria-hidden="true">${look.letters}</span>`;
}
