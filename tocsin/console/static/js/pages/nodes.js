// The nodes, what they carry, who owns which partition, and how that came to be.

import { html, useEffect, useRef } from "../lib.js";
import { get, path } from "../api.js";
import { useEvery } from "../every.js";
import { count, duration, many } from "../format.js";
import { useLiveLoaded, useLoaded } from "../load.js";
import { record, seen } from "../moves.js";
import { link } from "../router.js";
import { useStore } from "../store.js";
import { Action } from "../parts/action.js";
import { Bar, Sign } from "../parts/bar.js";
import { commandLine } from "../parts/copy.js";
import { HandOvers, Partition, spanOf, useHistory } from "../parts/hand_overs.js";
import { lookOf, lookOfNodes, Standing, Swatch } from "../parts/nodes.js";
import { Ownership, Shares } from "../parts/ownership.js";
import { Card, Empty, Facts, Head, Loaded } from "../parts/page.js";
import { Table } from "../parts/table.js";

/** Milliseconds between two looks: ownership is no event of the stream, and a takeover shall be seen as it goes. */
const LOOK = 1_500;

/** Milliseconds by which a clock may differ before it is worth a word, and before it is bad: the bounds of what counts as on time. */
const SKEW_WARN = 250;
const SKEW_BAD = 1_000;

export function Page({ query }) {
  const nodes = useLiveLoaded((signal) => get("/nodes", {}, signal), [], (event) => event.kind === "node");
  const partitions = useLoaded((signal) => get("/partitions", {}, signal), []);
  const both = () => (nodes.again(), partitions.again());
  useEvery(LOOK, both);
  const moved = useStore(seen);
  const history = useHistory(spanOf(query), moved, partitions.data?.list);
  useEffect(() => {
    if (nodes.data && partitions.data) record(partitions.data.list, nodes.data.list);
  }, [partitions.data]);
  return html`
    <${Head} title="Nodes and partitions" about="Who is there, what each carries, and who acts for which partition." />
    <${Loaded} of=${nodes}>${(found) => {
      const looks = lookOfNodes(named(found.list, partitions.data?.list ?? [], history.events));
      return html`
        <${Coordination} known=${found.coordination} nodes=${found.list} />
        <${Nodes} list=${found.list} looks=${looks} whole=${found.coordination.partitions} again=${both} />
        <${Loaded} of=${partitions}>${({ list }) => html`<${Owners} list=${list} looks=${looks} nodes=${found.list.map(({ name }) => name)} events=${history.events} query=${query} />
          <${HandOvers} history=${history} list=${list} looks=${looks} query=${query} />`}<//>`;
    }}<//>`;
}

/** Whoever is named: who is there, who owns, and who is gone and was seen to hand over. */
const named = (nodes, partitions, events) =>
  [...nodes.map(({ name }) => name), ...partitions.map(({ owner }) => owner), ...events.flatMap(({ node, from }) => [node, from])].filter(Boolean);

function Coordination({ known, nodes }) {
  const alone = nodes.length === 1 && !nodes[0].address;
  const missing = known.partitions - known.owned;
  return html`
    ${known.gate && html`<div class="note warn" role="status"><strong>A cold start waits.</strong> ${known.gate}. Nobody owns anything until then. Start the other nodes; after the gate's time limit it begins with those who are there.</div>`}
    ${known.problem && html`<div class="note bad" role="alert"><strong>This node owns nothing.</strong> ${known.problem}. <a href=${link("health")}>What to do</a></div>`}
    ${!known.connected && html`<div class="note bad" role="alert"><strong>No coordination server answers.</strong> What is owned is kept as long as the session may still live. Look at ZooKeeper.</div>`}
    ${known.connected && !known.gate && missing > 0 && html`<div class="note warn" role="status"><strong>${many(missing, "partition")} without an owner.</strong> Their tasks wait until a node has taken them, some seconds after the session of the former one has ended.</div>`}
    <${Card} name="Coordination"><div class="row spread">
      <${Facts} rows=${[
        ["Coordination", alone ? "of its own: one node, no other server" : known.connected ? html`<${Sign} look="completed" sign="✓">Connected<//>` : html`<${Sign} look="failed" sign="✕">Not connected<//>`],
        ["Session", known.session === null ? html`<${Sign} look="failed" sign="✕">None<//>` : known.trusted ? html`<${Sign} look="completed" sign="✓" title=${known.session}>Trusted<//>` : html`<${Sign} look="waiting" sign="?" title="the servers have not confirmed it in time">In doubt<//>`],
      ]} />
      <${Facts} rows=${[
        ["Leader", known.leader ?? html`<${Sign} look="waiting" sign="?">Nobody<//>`],
        ["Owned", `${count(known.owned)} of ${many(known.partitions, "partition")}`],
      ]} />
      <span class="small dim">The leader says who owns what; each owner keeps the time of its partitions.</span>
    </div><//>`;
}

function offsetOf({ offsetMs, here }) {
  if (here) return html`<span class="dim small">the one asked</span>`;
  if (offsetMs === null) return html`<span class="dim small">not measured</span>`;
  const size = Math.abs(offsetMs);
  const words = size < 0.5 ? "0 ms" : `${offsetMs < 0 ? "−" : "+"}${duration(size)}`;
  if (size >= SKEW_BAD) return html`<${Sign} look="failed" sign="✕" title="its tasks fire by its own clock: synchronise it">${words}, far off<//>`;
  if (size >= SKEW_WARN) return html`<${Sign} look="waiting" sign="!" title="look at its time synchronisation">${words}, off<//>`;
  return html`<span class="nowrap" title="its clock minus that of the node that answers">${words}</span>`;
}

const columns = (looks, whole, again) => [
  { label: "Node", lead: true, cell: (node) => html`<${Name} node=${node} look=${lookOf(looks, node.name)} />` },
  { label: "State", fit: true, cell: (node) => html`<${State} node=${node} />` },
  { label: "Slots used", cell: (node) => html`<${Bar} label=${`Slots used on ${node.name}`} value=${node.slots - node.free} most=${node.slots} warn=${node.slots > 0 && node.free === 0} words=${`${count(node.slots - node.free)} of ${count(node.slots)}, ${count(node.running)} run`} />` },
  { label: "Partitions", cell: (node) => html`<${Bar} label=${`Partitions of ${node.name}`} value=${node.partitions} most=${whole} words=${count(node.partitions)} />` },
  { label: "Clock", fit: true, cell: offsetOf },
  { label: "Version", fit: true, cell: (node) => html`<span class="small">${node.version}<span class="tiny dim"> zones ${node.timezoneDatabase}</span></span>` },
  { label: "", fit: true, cell: (node) => html`<span class="row tight"><${Drain} node=${node} done=${again} /><${Executor} node=${node} done=${again} /></span>` },
];

function Nodes({ list, looks, whole, again }) {
  const zones = new Set(list.map((node) => node.timezoneDatabase).filter(Boolean));
  return html`
    ${zones.size > 1 && html`<div class="note warn"><strong>Time zone databases differ:</strong> ${[...zones].join(", ")}. Nodes with another one than the cluster's own nothing. Finish the upgrade on all nodes.</div>`}
    <${Card} flush name="Nodes"><${Table} caption="Nodes" columns=${columns(looks, whole, again)} rows=${list} rowKey=${(node) => node.name} /><//>
    ${list.filter((node) => node.state === "draining").map((node) => html`<${Draining} key=${node.name} node=${node} />`)}
    ${list.length === 1 && html`<${Card}><${Empty} title="One node." command="tocsin cluster examples/tasks.py --nodes 3">If it ends, everything waits until it is back. A cluster of three for trying out, on this machine:<//><//>`}`;
}

function Name({ node, look }) {
  const labels = Object.entries(node.labels);
  return html`<span class="node-name"><${Swatch} look=${look} /><span><span class="name">${node.name}</span>
    ${node.leader && html` <span class="chip warm" title="says who owns what">★ leader</span>`}${node.here && html` <span class="chip" title="the node that shows you this">here</span>`}
    <span class="tiny dim node-links">${node.address && html`<span class="anywhere">${node.address}</span>`} <a href=${link("actors", { node: node.name })}>actors</a> <a href=${link("executions", { node: node.name })}>executions</a></span>
    ${labels.length > 0 && html`<span class="node-labels">${labels.map(([name, value]) => html`<span class="chip anywhere">${name}: ${value}</span>`)}</span>`}
  </span></span>`;
}

const State = ({ node }) =>
  html`<${Standing} state=${node.state} />${!node.executor && node.state !== "dead" && html`<div><${Sign} look="cancelled" sign="‖" title="it starts nothing new and keeps the time of what it owns">No executor<//></div>`}`;

function Drain({ node, done }) {
  const where = path`/nodes/${node.name}/drain`;
  if (node.state === "draining") {
    return html`<${Action} small plain whole role="administrator" label="Undrain" title=${`Let ${node.name} take part again`} where=${`${where}?undo=true`}
      about="It takes work and its share of the partitions again." cli=${commandLine("node", "drain", node.name, "--undo")} said=${`${node.name} takes part again`} done=${done} />`;
  }
  return html`<${Action} small plain whole role="administrator" label="Drain" title=${`Drain ${node.name}`} where=${where} disabled=${node.state === "dead"} why=${node.state === "dead" ? "it is not there" : undefined}
    about=${`${node.name} takes nothing new and gives its ${many(node.partitions, "partition")} to others. ${many(node.running, "execution")} there ${node.running === 1 ? "goes" : "go"} on to the end.`}
    cli=${commandLine("node", "drain", node.name, "--wait")} said=${`${node.name} drains`} done=${done} />`;
}

function Executor({ node, done }) {
  const to = node.executor ? "off" : "on";
  return html`<${Action} small plain whole role="administrator" label=${`Executor ${to}`} title=${`Switch the executor of ${node.name} ${to}`} where=${`${path`/nodes/${node.name}/executor`}?on=${!node.executor}`}
    disabled=${node.state === "dead"} why=${node.state === "dead" ? "it is not there" : undefined}
    about=${node.executor ? "It starts nothing new. It keeps the time of its partitions, and what runs there goes on." : "It takes executions again."}
    cli=${commandLine("node", "executor", to, "--node", node.name)} said=${`The executor of ${node.name} is ${to}`} done=${done} />`;
}

/** How far a drain is: from the most that was seen there to nothing. */
function Draining({ node }) {
  const most = useRef(0);
  most.current = Math.max(most.current, node.partitions);
  const over = node.partitions === 0 && node.running === 0;
  return html`<div class=${`note ${over ? "good" : "warn"}`} role="status"><div class="row spread">
    <span>${over
      ? html`<strong>${node.name} is drained.</strong> It owns and runs nothing: it can be stopped.`
      : html`<strong>${node.name} drains.</strong> ${many(node.partitions, "partition")} still to give away, ${many(node.running, "execution")} still ${node.running === 1 ? "runs" : "run"}.`}</span>
    <${Bar} label=${`Partitions that ${node.name} has given away`} value=${most.current - node.partitions} most=${most.current} words=${`${most.current - node.partitions} of ${most.current} given away`} />
  </div></div>`;
}

function Owners({ list, looks, nodes, events, query }) {
  const chosen = list.find(({ number }) => String(number) === query.partition);
  return html`<${Card} title="Who owns what"><div class="owners">
    <${Ownership} list=${list} looks=${looks} chosen=${chosen?.number} />
    <div class="stack">
      <${Shares} list=${list} looks=${looks} nodes=${nodes} />
      ${chosen ? html`<${Partition} key=${chosen.number} one=${chosen} looks=${looks} events=${events} />` : html`<p class="small dim">A partition is a slice of all tasks, by the hash of their ids. Its owner alone decides about them; the epoch grows with every new owner, so that a former one can write nothing any more.</p>`}
    </div>
  </div><//>`;
}
