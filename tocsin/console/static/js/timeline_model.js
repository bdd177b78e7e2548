// What the time axis knows: bars for executions, marks for what comes, by lanes. Pure: it draws nothing and asks nobody.

import { millis } from "./format.js";
import { looks } from "./states.js";

/** More bars than these in a window are shown as heights by the second: nobody tells so many apart. */
export const MANY = 1_500;

/** Rows of bars in a lane; what finds none is counted. */
export const ROWS = 6;

/** The lane of what no node has yet. */
export const NOBODY = "";

const FINAL = new Set(["COMPLETED", "FAILED", "CANCELLED", "CRASHED", "TIMED_OUT"]);

export class Timeline {
  constructor() {
    this.bars = new Map();
    this.seconds = new Map();
    this.coming = [];
  }

  /** Forget what seems to run and does not: of whoever is not among these ids the end was never told. */
  settle(open) {
    for (const bar of this.bars.values()) if (bar.end === null && !open.has(bar.id)) this.bars.delete(bar.id);
  }

  /** An execution as REST or an event tells it. Only what has begun has a place on the axis. */
  put(execution, task) {
    const start = millis(execution.startedAt);
    if (start === null || Number.isNaN(start)) return;
    const ended = FINAL.has(execution.state) || execution.endedAt;
    const end = ended ? (millis(execution.endedAt) ?? start) : null;
    const before = this.bars.get(execution.id);
    if (before?.end != null && end === null) return;
    const bar = { id: execution.id, task, node: execution.node ?? NOBODY, start, end, look: looks(execution.state).look, state: execution.state };
    this.bars.set(execution.id, bar);
    if (end !== null && before?.end == null) this.#count(bar);
  }

  #count(bar) {
    const second = Math.floor(bar.end / 1_000);
    let lanes = this.seconds.get(second);
    if (!lanes) this.seconds.set(second, (lanes = new Map()));
    const looks = lanes.get(bar.node) ?? {};
    looks[bar.look] = (looks[bar.look] ?? 0) + 1;
    lanes.set(bar.node, looks);
  }

  /** What comes: rows of `/upcoming`. */
  expect(rows) {
    this.coming = rows.map((row) => ({ at: millis(row.assigned ?? row.nominal), node: row.owner ?? NOBODY, task: row.task, taskId: row.taskId, excluded: row.excludedBy }));
  }

  /** Forget what ended before an instant, in milliseconds, and beyond `most` bars the oldest ones. */
  prune(before, most = 4 * MANY) {
    let extra = this.bars.size - most;
    for (const [id, bar] of this.bars) {
      if (bar.end !== null && (bar.end < before || extra > 0)) {
        this.bars.delete(id);
        extra -= 1;
      }
    }
    for (const second of this.seconds.keys()) if ((second + 1) * 1_000 < before) this.seconds.delete(second);
  }

  /** How many executions ended in a window. */
  ended(from, to) {
    let sum = 0;
    for (const [second, lanes] of this.seconds) {
      if (second * 1_000 < from || second * 1_000 >= to) continue;
      for (const counts of lanes.values()) for (const number of Object.values(counts)) sum += number;
    }
    return sum;
  }

  /** The names of lanes: the nodes that are known, and any other that something lies in. */
  lanes(nodes) {
    const found = new Set(nodes);
    for (const bar of this.bars.values()) found.add(bar.node);
    for (const one of this.coming) found.add(one.node);
    return [...found].sort((a, b) => (a === NOBODY) - (b === NOBODY) || (a < b ? -1 : 1));
  }

  /** The bars of one lane in rows that do not overlap: {rows: [[bar]], hidden: how many found none}. `least`: milliseconds a bar takes at least. */
  rows(lane, now, least) {
    const bars = [...this.bars.values()].filter((bar) => bar.node === lane).sort((a, b) => a.start - b.start);
    const rows = [];
    const free = [];
    let hidden = 0;
    for (const bar of bars) {
      let row = free.findIndex((until) => until <= bar.start);
      if (row < 0 && free.length < ROWS) row = free.push(0) - 1;
      if (row < 0) {
        hidden += 1;
        continue;
      }
      free[row] = Math.max(bar.end ?? now, bar.start + least);
      (rows[row] ??= []).push(bar);
    }
    return { rows, hidden };
  }
}
