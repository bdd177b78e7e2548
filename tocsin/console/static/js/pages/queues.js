// Who waits for what: queues, concurrency keys, and the switch for all of it.

import { html } from "../lib.js";
import { get } from "../api.js";
import { count, many, millis, short } from "../format.js";
import { useEvery } from "../every.js";
import { useLiveLoaded } from "../load.js";
import { link } from "../router.js";
import { Action } from "../parts/action.js";
import { Bar, Sign } from "../parts/bar.js";
import { commandLine } from "../parts/copy.js";
import { Card, Empty, Head, Loaded, Tile } from "../parts/page.js";
import { Scheduler } from "../parts/scheduler.js";
import { Table } from "../parts/table.js";
import { When } from "../parts/time.js";

const LOOK = 3_000;

const MINUTES = 5;

const moves = (event) => event.kind === "execution";

async function readAll(signal) {
  const [queues, locks, scheduler, nodes] = await Promise.all([get("/queues", {}, signal), get("/locks", {}, signal), get("/scheduler", {}, signal), get("/nodes", {}, signal)]);
  return { queues: queues.list, locks: locks.list, scheduler, nodes: nodes.list };
}

export function Page() {
  const all = useLiveLoaded(readAll, [], moves);
  useEvery(LOOK, all.again);
  return html`
    <${Head} title="Queues and limits" about="What is due and does not run yet waits for a slot, a queue or a key. Who holds them, and who waits."
      actions=${all.data && !all.data.scheduler.paused && html`<${Scheduler} known=${all.data.scheduler} done=${all.again} />`} />
    <${Loaded} of=${all}>${(known) => html`
      ${known.scheduler.paused && html`<${Scheduler} known=${known.scheduler} done=${all.again} />`}
      <${Totals} known=${known} />
      <${Queues} list=${known.queues} />
      <${Keys} list=${known.locks} again=${all.again} />`}<//>`;
}

function Totals({ known: { queues, locks, nodes } }) {
  const living = nodes.filter(({ state }) => state !== "dead");
  const sum = (list, field) => list.reduce((all, one) => all + one[field], 0);
  return html`<div class="tiles">
    <${Tile} label=${`of ${count(sum(living, "slots"))} slots free`} value=${count(sum(living, "free"))} href=${link("nodes")} />
    <${Tile} label="running" value=${count(sum(living, "running"))} href=${link("executions", { state: "RUNNING" })} />
    <${Tile} label="waiting in queues" value=${count(sum(queues, "waiting"))} href=${link("executions", { state: "WAITING" })} />
    <${Tile} label="waiting for keys" value=${count(sum(locks, "waiting"))} href=${link("executions", { state: "WAITING" })} />
  </div>`;
}

const perMinute = (number) => (number == null ? html`<span class="dim">–</span>` : html`<span title=${`${count(number)} in the last ${MINUTES} minutes`}>${(number / MINUTES).toFixed(number < 10 * MINUTES ? 1 : 0)}</span>`);

/** A queue that takes in more than it lets out grows; what it holds then waits longer and longer. */
const grows = (queue) => queue.waiting > 0 && queue.limit !== null && queue.running >= queue.limit;

/** `needs`: a column for what only some versions of a node tell. */
const QUEUES = [
  { label: "Queue", lead: true, cell: (queue) => html`<span class="name">${queue.name || html`<em>without a name</em>`}</span>${queue.chosen && html` <span class="chip" title="a queue of your own says who is next">ordered by queue.use</span>`}` },
  { label: "Running", cell: (queue) => html`<${Bar} label=${`Running in ${queue.name}`} value=${queue.running} most=${queue.limit ?? Math.max(queue.running, 1)} warn=${grows(queue)} words=${queue.limit === null ? `${count(queue.running)}, no limit` : `${count(queue.running)} of ${count(queue.limit)}`} />` },
  { label: "Waiting", number: true, cell: (queue) => (queue.waiting && grows(queue) ? html`<${Sign} look="waiting" sign="…" title="its limit is reached">${count(queue.waiting)}, full<//>` : count(queue.waiting)) },
  { label: "Longest wait", needs: "oldest", fit: true, cell: (queue) => html`<${When} at=${queue.oldest} />` },
  { label: "Started a minute", needs: "started5m", number: true, fit: true, cell: (queue) => perMinute(queue.started5m) },
  { label: "Ended a minute", needs: "ended5m", number: true, fit: true, cell: (queue) => perMinute(queue.ended5m) },
];

function Queues({ list }) {
  if (!list.length) {
    return html`<${Card} title="Queues"><${Empty} title="No queue has a limit, and nobody waits." command=${'[queues]\nmails = 5'}>A queue keeps room on a machine: so many of its executions run at once on each node. Give it a limit in the configuration, and tasks the policy <code>queue</code> (<code>--queue mails</code>).<//><//>`;
  }
  const sorted = [...list].sort((a, b) => b.waiting - a.waiting || a.name.localeCompare(b.name));
  return html`<${Card} flush title="Queues"><${Table} caption="Queues" columns=${QUEUES.filter(({ needs }) => !needs || list.some((queue) => queue[needs] !== undefined))} rows=${sorted} rowKey=${(queue) => queue.name} />
    <p class="small dim card-foot">Limits count on each node for itself. Figures are of the node that answers.</p><//>`;
}

function Keys({ list, again }) {
  if (!list.length) {
    return html`<${Card} title="Concurrency keys"><${Empty} title="Nobody holds a key." command="tocsin task add nightly --every 1h --concurrency-key warehouse -- ./load.sh">Tasks with the same key share a limit over the whole cluster; with the limit 1 it is a lock.<//><//>`;
  }
  const sorted = [...list].sort((a, b) => b.waiting - a.waiting || a.key.localeCompare(b.key));
  return html`<${Card} title="Concurrency keys" aside=${html`<span class="small dim">over the whole cluster</span>`}><div class="stack">
    ${sorted.map((lock) => html`<${Key} key=${`${lock.tenant} ${lock.key}`} lock=${lock} again=${again} />`)}
  </div><//>`;
}

function Key({ lock, again }) {
  const { key, tenant, limit, holders, waiting, oldest } = lock;
  const holds = [...holders].sort((a, b) => millis(a.since) - millis(b.since));
  return html`<section class="key" aria-label=${`Key ${key}`}>
    <div class="row spread">
      <div class="row"><h3 class="anywhere">${key}</h3>${limit === 1 && html`<span class="chip">lock</span>`}${tenant && html`<span class="chip">tenant ${tenant}</span>`}</div>
      <div class="row"><${Bar} label=${`Holders of ${key}`} value=${holders.length} most=${limit} warn=${waiting > 0} words=${`${count(holders.length)} of ${count(limit)} held`} />
        ${holders.length > 1 && html`<${Release} lock=${lock} done=${again} />`}</div>
    </div>
    <ul class="plain-list">${holds.map((holder) => html`<li key=${holder.executionId} class="row spread">
      <span class="anywhere"><a href=${link("tasks", holder.taskId)}>${holder.task ?? short(holder.taskId)}</a> holds it in <a href=${link("executions", holder.executionId)}>${short(holder.executionId)}</a>, since <${When} at=${holder.since} />
        ${holder.lingers && html` <${Sign} look="late" sign="◔" title="cancelled or timed out, but its handler has not returned: it counts until it does, or until you release it">lingers<//>`}</span>
      <${Release} lock=${lock} holder=${holder} done=${again} /></li>`)}
    </ul>
    <p class="small">${waiting ? html`<${Sign} look="waiting" sign="…">${many(waiting, "execution")} ${waiting === 1 ? "waits" : "wait"}<//>${oldest && html`, the first since <${When} at=${oldest} />`}. <a href=${link("executions", { state: "WAITING" })}>Show who waits</a>` : html`<span class="dim">Nobody waits for it.</span>`}</p>
  </section>`;
}

function Release({ lock, holder, done }) {
  const body = { key: lock.key, ...(lock.tenant ? { tenant: lock.tenant } : {}), ...(holder ? { execution: holder.executionId } : {}) };
  const who = holder ? (holder.task ?? holder.executionId) : `all ${lock.holders.length} holders`;
  return html`<${Action} small plain danger label=${holder ? "Release" : "Release all"} title=${`Take ${lock.key} from ${who}`} where="/locks/release" body=${body}
    about=${html`<strong>The work goes on, and counts against the key no more:</strong> the next one starts beside it. Do this only if you know that ${holder ? "this one" : "each of them"} does nothing any more, or does no harm.`}
    cli=${commandLine("lock", "release", lock.key, ...(holder ? ["--execution", holder.executionId] : []))} said=${`Taken from ${who}`} done=${done} />`;
}
