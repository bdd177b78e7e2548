// The figures of a node in the text format of Prometheus, read with the session, and kept for a while to be drawn.

import { session } from "./api.js";
import { createStore } from "./store.js";

/** How many looks are kept of each figure: at one in two seconds, four minutes. */
const KEPT = 120;

const LINE = /^([a-zA-Z_:][\w:]*)(\{(.*)\})? (\S+)$/;

/** Text of figures as name -> [{labels: text, value}]. */
export function parsed(text) {
  const found = new Map();
  for (const line of text.split("\n")) {
    if (!line || line[0] === "#") continue;
    const [, name, , labels = "", value] = LINE.exec(line) ?? [];
    if (name === undefined) continue;
    if (!found.has(name)) found.set(name, []);
    found.get(name).push({ labels, value: Number(value) });
  }
  return found;
}

/** The sum of a family, or of those of its lines whose labels contain a text; null if there is none. */
export function total(figures, name, labels = "") {
  const lines = figures.get(name)?.filter((line) => line.labels.includes(labels));
  return lines?.length ? lines.reduce((sum, line) => sum + line.value, 0) : null;
}

/** The value below which a part of what a histogram counted lies, as its buckets tell; null if it counted nothing. */
export function quantile(before, after, name, part) {
  const counts = new Map();
  const count = (figures, sign) => {
    for (const { labels, value } of figures?.get(`${name}_bucket`) ?? []) {
      const bound = Number(/le="([^"]+)"/.exec(labels)?.[1].replace("+Inf", "Infinity"));
      counts.set(bound, (counts.get(bound) ?? 0) + sign * value);
    }
  };
  count(after, 1);
  count(before, -1);
  const all = counts.get(Infinity) ?? 0;
  if (all <= 0) return null;
  return [...counts].sort(([a], [b]) => a - b).find(([, below]) => below >= all * part)[0];
}

/** Looks so far, the oldest first: {at: milliseconds, figures}. They stay as long as the console is open. */
export const looked = createStore([]);

/** Look once more. Throws an Error in words. */
export async function look(signal) {
  const response = await fetch("/metrics", { credentials: "same-origin", signal });
  if (response.status === 401) session.set(null);
  if (response.status === 403) throw new Error("figures are for those who may see all tenants");
  if (!response.ok) throw new Error(`the answer was ${response.status}`);
  const figures = parsed(await response.text());
  looked.set([...looked.get().slice(1 - KEPT), { at: Date.now(), figures }]);
  return figures;
}
