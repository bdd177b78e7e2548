// Which partitions have changed their owner while the console was open: from looks at who owns what, one after the other.

import { createStore } from "./store.js";

/** So many moves are kept: some takeovers of a whole cluster. */
const KEPT = 4_096;

/** What was seen: {since: milliseconds or null, events: newest first, as `handovers.js` takes them}. */
export const seen = createStore({ since: null, events: [] });

/** Milliseconds within which the epoch of a new owner may be told after its name: that is one move, and not a restart. */
const LAG = 10_000;

const owners = new Map();

const CAUSES = { dead: "lost", suspect: "lost" };

/** Why a partition went from one node to another, as the former owner's state tells. standing: name -> state. */
function causeOf(from, to, standing) {
  if (from === null) return "founded";
  if (from === to) return "restart";
  return CAUSES[standing.get(from) ?? "dead"] ?? "balanced";
}

/**
 * One more look: of partitions {number, owner, epoch} and of nodes {name, state}. One without an owner is between two: what counts is who had
 * it last.
 */
export function record(partitions, nodes, at = new Date()) {
  const standing = new Map(nodes.map(({ name, state }) => [name, state]));
  const found = [];
  for (const { number, owner, epoch } of partitions) {
    const last = owners.get(number);
    if (owner === null || (last?.owner === owner && last.epoch === epoch)) continue;
    const same = last?.owner === owner && at - last.at <= LAG;
    owners.set(number, { owner, epoch, at: same ? last.at : at });
    const from = last?.owner ?? null;
    if (last && !same) found.push({ partition: number, epoch, at: at.toISOString(), node: owner, from, cause: causeOf(from, owner, standing) });
  }
  const { since, events } = seen.get();
  if (since === null || found.length) seen.set({ since: since ?? at.getTime(), events: [...found, ...events].slice(0, KEPT) });
}
