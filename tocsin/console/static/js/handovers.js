// What hand-overs tell: who owned how much when, and what happened together.

/** Hand-overs for one cause that are no further apart than so many milliseconds are one happening. */
const TOGETHER = 10_000;

/** Why partitions move: [look, sign, in words]. */
export const CAUSES = {
  founded: ["completed", "✦", "it had no owner before"],
  restart: ["running", "↻", "the owner was started again"],
  left: ["cancelled", "⏏", "the owner left in good order"],
  lost: ["failed", "✕", "the owner was lost"],
  balanced: ["scheduled", "⇄", "a living node gave it away, to share the load or because it drains"],
};

export const causeOf = (cause) => CAUSES[cause] ?? ["scheduled", "·", cause];

const keyOf = ({ partition, epoch }) => `${partition} ${epoch}`;

/** Rows of a history, each once. */
export const told = (rows) => [...new Map(rows.map((row) => [keyOf(row), row])).values()];

/**
 * The history, and what was seen to move and is not in it yet; newest first. What is seen may bear the epoch of the former owner: the new one
 * is told a moment later.
 */
export function merged(history, seen) {
  const newest = new Map();
  for (const row of history) if (!newest.has(row.partition)) newest.set(row.partition, row);
  const isNew = ({ partition, epoch, node }) => {
    const known = newest.get(partition);
    return !known || epoch > known.epoch || (epoch === known.epoch && node !== known.node);
  };
  return [...seen.filter(isNew), ...history].sort((a, b) => Date.parse(b.at) - Date.parse(a.at));
}

/** `events`, newest first, as happenings, newest first: {cause, from, to: instants, partitions, givers, takers: [[name, count]]}. */
export function gathered(events) {
  const made = [];
  for (const event of events) {
    const at = Date.parse(event.at);
    const open = made.findLast((one) => one.cause === event.cause && one.begun - at <= TOGETHER);
    const one = open ?? { cause: event.cause, ended: event.at, numbers: new Set(), gave: new Map(), took: new Map() };
    if (!open) made.push(one);
    Object.assign(one, { begun: at, from: event.at });
    one.numbers.add(event.partition);
    add(one.took, event.node, 1);
    if (event.from) add(one.gave, event.from, 1);
  }
  return made.map(({ cause, from, ended, numbers, gave, took }) => ({ cause, from, to: ended, partitions: numbers.size, givers: most(gave), takers: most(took) }));
}

const add = (counts, name, by) => counts.set(name, (counts.get(name) ?? 0) + by);

const most = (counts) => [...counts].sort(([, a], [, b]) => b - a);

/**
 * How many partitions each owner had, at `points` instants from `since` to `until` (milliseconds), the oldest first: Maps by name, null for
 * nobody. owners: of each partition now, null for nobody. events: newest first. One walk back through them.
 */
export function shares(owners, events, since, until, points) {
  const held = [...owners];
  const counts = new Map();
  for (const owner of held) add(counts, owner, 1);
  const made = [];
  let next = 0;
  for (let point = points - 1; point >= 0; point -= 1) {
    const at = since + ((until - since) * point) / (points - 1);
    for (; next < events.length && Date.parse(events[next].at) > at; next += 1) {
      const { partition, from } = events[next];
      add(counts, held[partition] ?? null, -1);
      held[partition] = from ?? null;
      add(counts, held[partition], 1);
    }
    made.unshift(new Map(counts));
  }
  return made;
}

/** Bands that lie on each other: for each name `[lower, upper]` of every point, as parts of the whole. */
export function bands(points, names, whole) {
  const floor = points.map(() => 0);
  return names.map((name) => ({
    name,
    edges: points.map((counts, i) => {
      const lower = floor[i];
      floor[i] += (counts.get(name) ?? 0) / whole;
      return [lower, floor[i]];
    }),
  }));
}
