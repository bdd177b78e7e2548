// What the tree of actors tells: its rows in order, what is new since the last look, and who is in trouble.

/** A mailbox that is fuller than this part is worth a look. */
const FULL = 0.5;

/** A restart stays worth a look for good: it is rare, and its cause is in the log. An actor at one batch for this part of its time, too. */
const SLOW = 0.5;

/** Every actor with its path from the root, its depth, and its children's paths: parents before children. */
export function flattened(tree, above = "", level = 1) {
  const path = above ? `${above}/${tree.name}` : tree.name;
  const under = tree.children.flatMap((child) => flattened(child, path, level + 1));
  return [{ path, above, level, actor: tree, children: tree.children.length }, ...under];
}

/** The rows that are not under a closed one. */
export function visible(rows, closed) {
  const hidden = new Set();
  return rows.filter(({ path, above }) => {
    if (hidden.has(above) || closed.has(above)) {
      hidden.add(path);
      return false;
    }
    return true;
  });
}

/**
 * What two looks tell of each actor: path -> {rate: messages a second, busy: seconds at one batch, at least}. before: what this gave the last
 * time, or null. at: of this look, milliseconds.
 */
export function compared(rows, before, at) {
  const found = new Map();
  for (const { path, actor } of rows) {
    const { handled, busy_since: since } = actor.statistics ?? {};
    const last = before?.get(path);
    const passed = last ? (at - last.at) / 1_000 : 0;
    const rate = handled === undefined || !passed || handled < last.handled ? null : (handled - last.handled) / passed;
    const same = since != null && last?.since === since;
    const seen = same ? last.seen : at;
    found.set(path, { at, handled, since, seen, rate, busy: since == null ? null : (at - seen) / 1_000 });
  }
  return found;
}

/** What is wrong with an actor, in words; empty if nothing is. */
export function troubles(actor, figures) {
  const { mailbox, deadline_seconds: allowed } = actor.statistics ?? {};
  const found = [];
  if (actor.state === "ended") found.push("has ended");
  else if (actor.state !== "running") found.push(`is ${actor.state}`);
  if (actor.restarts) found.push(`was started again ${actor.restarts === 1 ? "once" : `${actor.restarts} times`} after a crash`);
  if (mailbox && mailbox.depth > mailbox.capacity * FULL) found.push(`has ${mailbox.depth} messages in a mailbox for ${mailbox.capacity}`);
  if (mailbox?.refused) found.push(`refused ${mailbox.refused === 1 ? "one message" : `${mailbox.refused} messages`}: its mailbox was full`);
  if (figures?.busy > allowed * SLOW) found.push(`is at one batch for ${Math.round(figures.busy)} s; it may take ${allowed} s`);
  return found;
}

/** What an actor crashed with, as class and message. */
export function crash(text) {
  const at = text.indexOf(": ");
  const name = at > 0 ? text.slice(0, at) : text;
  return /^[\w.]+$/.test(name) ? { name, message: at > 0 ? text.slice(at + 2) : "" } : { name: "", message: text };
}
