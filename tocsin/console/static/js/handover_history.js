// The hand-overs that the cluster keeps, read page by page.

import { get } from "./api.js";
import { told } from "./handovers.js";

/** Rows that are asked for at a time: the most that is told at once. */
const PAGE = 1_000;

/** Rows that are read at most: some takeovers of a whole cluster. More would be drawn as one thick line. */
export const MOST = 4_000;

/**
 * The hand-overs since an instant in milliseconds: {list: newest first, more: there are older ones, known: false if the node is of a version
 * that keeps none}. query: `partition`, `node`.
 */
export async function readHandOvers(since, query, signal) {
  const from = new Date(since).toISOString();
  let found = [];
  let until;
  for (;;) {
    const page = await look({ ...query, since: from, until, limit: PAGE }, signal);
    if (page === null) return { list: [], more: false, known: false };
    const before = found.length;
    // A page ends within rows of the same instant: they come once more with the next one.
    found = told([...found, ...page.list]);
    const done = !page.more || found.length === before || found.length >= MOST;
    if (done) return { list: found, more: page.more, known: true };
    until = page.list.at(-1).at;
  }
}

/** One page; null where the node does not know of such. */
async function look(query, signal) {
  try {
    return await get("/partitions/history", query, signal);
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}
