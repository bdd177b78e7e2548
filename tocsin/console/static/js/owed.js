// What is owed, from what waits, what is held and what is overdue: by task, and what each task's policy makes of it.

/** Milliseconds after its time from which a task counts as overdue: what is on time is settled long before. */
const LATE = 5_000;

const blank = (taskId, task, taskType) => ({ taskId, task, taskType, policy: null, waiting: [], held: [], overdue: null });

/**
 * executions: that wait or are held, of all tasks. tasks: those whose next time comes first. at: the present in milliseconds. Gives
 * {waiting, held, overdue: numbers, tasks}: executions that wait for the governor, that are held after a crash, and overdue tasks.
 */
export function owed(executions, tasks, at) {
  const found = new Map();
  const of = (taskId, task, taskType) => {
    if (!found.has(taskId)) found.set(taskId, blank(taskId, task, taskType));
    return found.get(taskId);
  };
  for (const execution of executions) {
    if (execution.state === "CRASHED") of(execution.taskId, execution.task, execution.taskType).held.push(execution);
    else if (execution.waitsFor === "governor") of(execution.taskId, execution.task, execution.taskType).waiting.push(execution);
  }
  for (const task of tasks) {
    const late = !task.paused && task.nextScheduledExecution && at - Date.parse(task.nextScheduledExecution) > LATE;
    if (late) of(task.itemId, task.name, task.taskType).overdue = task.nextScheduledExecution;
    const known = found.get(task.itemId);
    if (known) known.policy = task.policies;
  }
  const list = [...found.values()];
  const sum = (field) => list.reduce((all, one) => all + one[field].length, 0);
  return { waiting: sum("waiting"), held: sum("held"), overdue: list.filter(({ overdue }) => overdue).length, tasks: list };
}

/** What a policy makes of the times that were missed, in words. */
export function comes({ catchUp, catchUpLimit, catchUpRate, latenessLimit } = {}) {
  const words = {
    latest: "one run, for the newest time; it stands for the others",
    earliest: "one run, for the oldest time; it stands for the others",
    skip: "none of them runs: they are missed",
    all: `each of them runs, the newest ${catchUpLimit ?? 100} at the most${catchUpRate ? `, at ${catchUpRate}` : ""}`,
  };
  const limit = latenessLimit ? `; not what is later than ${latenessLimit}` : "";
  return (words[catchUp] ?? "") + limit;
}

/** The first and the last of nominal times; null if there is none. */
export function range(executions) {
  const times = executions.map(({ nominal, createdAt }) => nominal ?? createdAt).sort();
  return times.length ? { first: times[0], last: times.at(-1) } : null;
}
