// The last errors of tasks, and when they are tried again. A list of tasks does not have them, so those of the rows shown are asked for, a few at a
// time, each once.

import { useEffect, useState } from "../lib.js";
import { get, path } from "../api.js";
import { hasFailed } from "./executions.js";

/** Requests under way together: what is shown beside them comes first. */
const TOGETHER = 3;

/** Executions that are remembered: some pages of failing tasks. */
const KEPT = 500;

const NOTHING = { failure: null };

const known = new Map();

function keep(id, { failure = null, state = null, waitsFor = null, retryAt = null }) {
  known.set(id, { failure, state, waitsFor, retryAt });
  if (known.size > KEPT) known.delete(known.keys().next().value);
}

/** What names the failure of a row: with each attempt that fails there is a newer one. */
const keyOf = (task) => `${task.lastExecution} ${task.failureCount}`;

const isFailing = (task) => task.lastExecution && (hasFailed(task.lastState) || task.failureCount > 0);

/** A function that gives what is known of the last execution of a failing task: {failure, state, waitsFor, retryAt}. */
export function useFailures(rows) {
  const [, setSeen] = useState(0);
  const missing = rows.filter((task) => isFailing(task) && !known.has(keyOf(task)));
  useEffect(() => {
    const stop = new AbortController();
    const left = [...missing];
    const next = async () => {
      for (let task = left.shift(); task && !stop.signal.aborted; task = left.shift()) {
        try {
          const execution = await get(path`/executions/${task.lastExecution}`, {}, stop.signal);
          keep(keyOf(task), execution);
        } catch (error) {
          if (error.status !== 404) return;
          keep(keyOf(task), {});
        }
        setSeen((number) => number + 1);
      }
    };
    for (let i = 0; i < TOGETHER; i += 1) next();
    return () => stop.abort();
  }, [missing.map(keyOf).join()]);
  return (task) => known.get(keyOf(task)) ?? NOTHING;
}
