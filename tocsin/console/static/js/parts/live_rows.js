// Rows that follow events where they stand: what an event says is drawn at once, and the node is asked again once a second at most.

import { useEffect, useRef, useState } from "../lib.js";
import { isBroken, useLive } from "../live.js";
import { isOpen } from "./executions.js";

/** Milliseconds after which a list is read again because something happened to rows that are not shown: orders and totals change with them. */
const ELSEWHERE = 5_000;

/** A task after an event about one of its executions. */
export function taskAfter(task, { execution, at }) {
  const { state, id } = execution;
  if (isOpen(execution)) {
    const running = state === "RUNNING";
    return {
      ...task,
      status: execution.waitsFor === "retry" ? "SCHEDULED" : state, // between two tries a task counts as scheduled
      open: task.open.includes(id) ? task.open : [...task.open, id],
      lastExecutionDate: execution.startedAt ?? task.lastExecutionDate,
      runsOn: running && execution.node ? [execution.node] : [],
      waitsFor: execution.waitsFor,
      retryAt: execution.retryAt,
      lastExecution: id,
    };
  }
  const held = state === "CRASHED"; // it has not ended: somebody resumes or cancels it
  const open = task.open.filter((one) => held || one !== id);
  const more = task.phase === "active" && task.nextScheduledExecution;
  return {
    ...task,
    status: held ? state : open.length ? task.status : more ? "SCHEDULED" : state,
    open,
    runsOn: open.length ? task.runsOn : [],
    retryAt: null,
    waitsFor: null,
    lastState: state,
    lastEnd: execution.endedAt ?? at,
    lastExecution: id,
  };
}

/** The squares of a task after an event about one of its executions; `most`: how many are kept. */
export function squaresAfter(squares, { execution }, most) {
  const { id, state, outcome, nominal, startedAt, endedAt, attempt } = execution;
  const durationMs = startedAt && endedAt && state !== "WAITING" ? Date.parse(endedAt) - Date.parse(startedAt) : null;
  const square = { executionId: id, state, outcome, nominal, startedAt, durationMs, attempts: attempt, count: 1, reason: execution.reason };
  const at = squares.findIndex((one) => one.executionId === id);
  if (at >= 0) return squares.map((one, i) => (i === at ? { ...one, ...square } : one));
  return [...squares, square].slice(-most);
}

/**
 * What events have changed since a page was read: {change(row), progress}. `loaded`: of useLoaded; `page`: what it gave; `rows`: those shown;
 * `idOf(event)`: the key of the row that an event is about; `keyOf(row)`; `after(row, event)`: the row after it.
 */
export function useRowsAfter({ loaded, page, rows, keyOf, idOf, after }) {
  const [changed, setChanged] = useState(NOTHING);
  const shown = useRef(new Map());
  const later = useRef(null);
  useEffect(() => {
    shown.current = new Map(rows.map((row) => [keyOf(row), row]));
    setChanged((before) => ({ rows: new Map(), progress: before.progress }));
  }, [page]);
  useEffect(() => () => clearTimeout(later.current), []);
  useLive((batch) => {
    if (isBroken(batch)) return loaded.again();
    const { here, elsewhere } = sorted(batch, shown.current, idOf);
    if (here.length) {
      setChanged((before) => applied(before, here, shown.current, idOf, after));
      if (here.some((event) => event.kind !== "progress")) loaded.again();
    }
    if (elsewhere) {
      later.current ??= setTimeout(() => {
        later.current = null;
        loaded.again();
      }, ELSEWHERE);
    }
  });
  return { row: (row) => changed.rows.get(keyOf(row)) ?? row, progress: (row) => changed.progress.get(keyOf(row)) };
}

const NOTHING = { rows: new Map(), progress: new Map() };

function sorted(batch, shown, idOf) {
  const here = batch.filter((event) => shown.has(idOf(event)));
  const told = (event) => event.kind === "execution" || event.kind === "task" || event.kind === "slots";
  return { here, elsewhere: batch.some((event) => told(event) && !shown.has(idOf(event))) };
}

function applied(before, events, shown, idOf, after) {
  const rows = new Map(before.rows);
  const progress = new Map(before.progress);
  for (const event of events) {
    const key = idOf(event);
    if (event.kind === "progress") progress.set(key, event.progress);
    if (event.kind !== "execution") continue;
    rows.set(key, after(rows.get(key) ?? shown.get(key), event));
    if (event.execution.state !== "RUNNING") progress.delete(key);
  }
  return { rows, progress };
}
