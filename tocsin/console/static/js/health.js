// From what a node and its cluster say of themselves to a verdict: what is wrong, what that means, what to do.
//
// A finding: {level: "bad" | "warn" | "note", what, means, act, page}. Pure: what was read comes in.

import { duration, many } from "./format.js";
import { total } from "./metrics.js";

/** Milliseconds by which clocks may differ, and seconds for which what is due may wait, before it is worth a word. */
const SKEW = 250;
const LATE = 2;

/** What health says, by how it begins, with what to do: docs/guides/cluster.md says the same. */
const SAYINGS = [
  [/^no coordination server answers: .*nothing new/, "bad", "Its session is over: others take what it owned.", "Look at ZooKeeper. What came due is caught up when it is back."],
  [/^no coordination server answers/, "bad", "ZooKeeper cannot be reached; the session may still live, so nothing is lost yet.", "Look at ZooKeeper and at the way to it."],
  [/^the coordination servers have not confirmed/, "warn", "They answer too slowly.", "Look at their disks and their load."],
  [/^nobody owns anything yet/, "warn", "A cold start waits until enough nodes are here (coordination.min_nodes).", "Start the others, or wait for coordination.gate_timeout."],
  [/the store does not answer/, "bad", "It could not commit for longer than store.grace, and gave its partitions away.", "Look at the database and at the way to it."],
  [/^the lease in the store/, "bad", "What ran here was interrupted, at no cost to it; it goes on elsewhere.", "Look at the database and at the way to it."],
  [/time zone database/, "warn", "An upgrade of tzdata is under way, and is not finished.", "Finish it on all nodes."],
  [/coordination-authority-changed/, "bad", "The database and ZooKeeper contradict each other: one of them is an older copy.", "Make sure that no node runs on the other copy, then: tocsin fence raise"],
  [/^this node owns nothing: the node name/, "bad", "Another node has its name, or its former process has not been dead for long enough.", "Give one of them another name, or wait for the lease."],
  [/^this node owns nothing/, "warn", "No partition is assigned to it.", "Wait some seconds; if it stays, look at the leader's log."],
  [/store cannot commit/, "bad", "Nothing can be decided: the database does not take it.", "Look at the disk or the database, and at the log."],
  [/timer is late/, "bad", "What is due is not started in time.", "Look at the actor tree for who is busy, and at the machine's load."],
  [/^loop late/, "warn", "Something held up the whole node.", "Handlers that compute must not be async functions: make them plain ones, or isolate them in processes."],
  [/not back at its mailbox/, "bad", "An actor is at one message for too long.", "Look at the actor tree; the log has more."],
];

function ofSaying(text) {
  const [, level, means, act] = SAYINGS.find(([begins]) => begins.test(text)) ?? [null, "warn", "The node says so itself.", "The log of the node has more."];
  return { level, what: text, means, act, page: /timer is late|mailbox|loop/.test(text) ? "actors" : "nodes" };
}

function ofReadiness(ready) {
  if (ready.ok) return (ready.body.health ?? []).map((text) => ({ ...ofSaying(text), level: "warn" }));
  const said = ready.error.message.split("; ").map(ofSaying).map((one) => ({ ...one, level: "bad" }));
  return ready.error.status === 503 ? said : [{ level: "bad", what: `The node cannot be asked: ${ready.error.message}`, means: "Whether it keeps time is unknown.", act: "Look whether its process runs." }];
}

const STANDINGS = {
  dead: (name) => ({ level: "warn", what: `${name} is dead`, means: "Nobody hears of it. Others have taken what it owned, or take it within seconds.", act: "Start it again. If it is gone for good, it disappears from the list by itself." }),
  suspect: (name) => ({ level: "warn", what: `${name} does not answer the others`, means: "It may be slow, or gone.", act: "Look at its machine and its log." }),
  draining: (name) => ({ level: "note", what: `${name} drains`, means: "It takes nothing new; that is what somebody wanted.", act: "Stop it when it is empty, or undrain it." }),
};

function ofNodes({ list, coordination }) {
  const found = list.flatMap((node) => (STANDINGS[node.state] ? [{ ...STANDINGS[node.state](node.name), page: "nodes" }] : []));
  for (const node of list) {
    const skew = Math.abs(node.offsetMs ?? 0);
    if (skew >= SKEW) found.push({ level: skew >= 1_000 ? "bad" : "warn", what: `The clock of ${node.name} is off by ${duration(skew)}`, means: "Its tasks fire by its own clock.", act: "Look at its time synchronisation (chronyc tracking).", page: "nodes" });
  }
  const living = list.filter(({ state }) => state !== "dead");
  if (!living.some(({ executor, state }) => executor && state !== "draining")) found.push({ level: "bad", what: "No node takes executions", means: "What is due waits.", act: "Switch an executor on.", page: "nodes" });
  const free = living.reduce((sum, node) => sum + node.free, 0);
  if (living.length && free === 0) found.push({ level: "warn", what: "No slot is free on any node", means: "What is due waits until something ends.", act: "Look at the executions that run for long; add a node, or raise slots.", page: "queues" });
  for (const [field, name] of [["version", "versions of Tocsin"], ["timezoneDatabase", "time zone databases"]]) {
    const known = [...new Set(living.map((node) => node[field]).filter(Boolean))];
    if (known.length > 1) found.push({ level: "warn", what: `Nodes have different ${name}: ${known.join(", ")}`, means: "That is right during an upgrade, and only then.", act: "Finish the upgrade.", page: "nodes" });
  }
  const missing = coordination.partitions - coordination.owned;
  if (missing > 0 && !coordination.gate) found.push({ level: "warn", what: `${many(missing, "partition")} without an owner`, means: "Their tasks wait.", act: "A takeover lasts some seconds. If it stays, look at coordination.", page: "nodes" });
  return found;
}

function ofCanaries(canaries) {
  if (!canaries.enabled) return [];
  const found = canaries.troubles.map((text) => ({ level: "warn", what: text, means: "A canary is a task that does nothing but run on time: what happens to it happens to yours.", act: "tocsin doctor looks at all that a node needs." }));
  if (canaries.missed) found.push({ level: "bad", what: `Canaries missed ${many(canaries.missed, "nominal time")}`, means: "So did perhaps others.", act: "Look what became of tasks at that time: tocsin task why." });
  return found;
}

function ofFigures(figures) {
  const found = [];
  const late = total(figures, "tocsin_timer_lateness_seconds");
  if (late > LATE) found.push({ level: "bad", what: `What is due has been waiting for ${duration(late * 1_000)}`, means: "The timer of this node is behind.", act: "Look at the actor tree and at the machine's load.", page: "actors" });
  if ((figures.get("tocsin_store_up") ?? []).some(({ value }) => value === 0)) found.push({ level: "bad", what: "The last transaction could not be made", means: "The store does not take commits.", act: "Look at the disk or the database." });
  if (total(figures, "tocsin_outbox_due") >= 1_000) found.push({ level: "warn", what: "1,000 or more deliveries are due", means: "Webhooks or mails are not taken by who shall get them.", act: "Look at the deliveries of the tasks with event triggers." });
  return found;
}

const RANKS = ["bad", "warn", "note"];

/** All findings, the worst first. Each of what was read may be null: then it says nothing. */
export function findings({ ready, nodes, scheduler, canaries, figures }) {
  const found = [
    ...(ready ? ofReadiness(ready) : []),
    ...(nodes ? ofNodes(nodes) : []),
    ...(scheduler?.paused ? [{ level: "warn", what: `The scheduler is paused${scheduler.by ? ` by ${scheduler.by}` : ""}${scheduler.note ? `: ${scheduler.note}` : ""}`, means: "Nothing is started. What comes due is made up for later, under each task's catch-up policy.", act: "Resume it when its reason is gone.", page: "queues" }] : []),
    ...(canaries ? ofCanaries(canaries) : []),
    ...(figures ? ofFigures(figures) : []),
  ];
  return found.sort((a, b) => RANKS.indexOf(a.level) - RANKS.indexOf(b.level));
}

/** {level, words}: the whole in one line. */
export function verdict(found, nodes) {
  const living = nodes?.list.filter(({ state }) => state !== "dead").length;
  const who = living > 1 ? `${living} nodes keep time` : "The node keeps time";
  const bad = found.filter(({ level }) => level === "bad").length;
  const warn = found.filter(({ level }) => level === "warn").length;
  if (bad) return { level: "bad", words: `Something is wrong: ${many(bad, "problem")} below${warn ? `, and ${many(warn, "thing")} worth a look` : ""}.` };
  if (warn) return { level: "warn", words: `${who}, but ${many(warn, "thing is", "things are")} worth a look.` };
  return { level: "good", words: `${who}, and nothing is wrong.` };
}
