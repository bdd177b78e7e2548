// What a node is made of: its actors, how much waits for each, and which of them has a hard time.

import { classes, html, useEffect, useRef } from "../lib.js";
import { get, path } from "../api.js";
import { count, duration, many } from "../format.js";
import { useEvery } from "../every.js";
import { useLoaded } from "../load.js";
import { link, setQuery } from "../router.js";
import { compared, crash, flattened, troubles, visible } from "../tree.js";
import { Bar, Sign } from "../parts/bar.js";
import { Card, Facts, Head, Loaded } from "../parts/page.js";

const LOOK = 1_000;

const STATES = {
  running: ["completed", "✓"],
  starting: ["running", "▶"],
  stopping: ["late", "⇣"],
  pending: ["waiting", "…"],
  ended: ["cancelled", "⊘"],
};

export function Page({ query }) {
  const nodes = useLoaded((signal) => get("/nodes", {}, signal), []);
  const list = nodes.data?.list ?? [];
  const name = query.node ?? list.find(({ here }) => here)?.name;
  const choice = html`<div class="field"><label class="for-readers" for="node">Node</label>
    <select id="node" value=${name} onChange=${(event) => setQuery({ node: event.target.value, actor: null }, { replace: false })}>
      ${!list.some((one) => one.name === name) && name && html`<option value=${name}>${name}</option>`}
      ${list.map((one) => html`<option value=${one.name} disabled=${one.state === "dead"}>${one.name}${one.here ? " (here)" : ""}${one.state === "alive" ? "" : `, ${one.state}`}</option>`)}
    </select></div>`;
  return html`
    <${Head} title="Actor tree" about="Everything that a node does is done by actors: each has a mailbox, and a supervisor that starts it again when it crashes." actions=${list.length > 1 && choice} />
    <${Loaded} of=${nodes}>${() => name && html`<${OfNode} key=${name} name=${name} query=${query} />`}<//>`;
}

function OfNode({ name, query }) {
  const loaded = useLoaded((signal) => get(path`/nodes/${name}/tree`, {}, signal), [name]);
  useEvery(LOOK, loaded.again);
  const figures = useRef(null);
  const seen = useRef(null);
  if (loaded.data && seen.current !== loaded.data) {
    seen.current = loaded.data;
    figures.current = compared(flattened(loaded.data.tree), figures.current, performance.now());
  }
  return html`<${Loaded} of=${loaded}>${(found) => {
    const rows = flattened(found.tree);
    const bad = rows.map((row) => ({ ...row, wrong: troubles(row.actor, figures.current.get(row.path)) })).filter(({ wrong }) => wrong.length);
    const chosen = rows.find((row) => row.path === query.actor);
    return html`
      <${InTrouble} rows=${bad} all=${rows.length} health=${found.health} name=${name} />
      <div class=${classes("columns", !chosen && "one-column")}>
        <div><${Card} flush name="Actors"><${Tree} rows=${rows} figures=${figures.current} bad=${new Set(bad.map((row) => row.path))} chosen=${query.actor} closed=${closedOf(query)} /><//></div>
        ${chosen && html`<div><${Detail} row=${chosen} figures=${figures.current.get(chosen.path)} /></div>`}
      </div>`;
  }}<//>`;
}

function InTrouble({ rows, all, health, name }) {
  if (!rows.length && !health.length) return html`<div class="note good" role="status"><strong>All ${all} actors of ${name} are well:</strong> running, never crashed, nobody kept waiting.</div>`;
  return html`<div class="note warn" role="status">
    ${health.map((text) => html`<p><strong>The node says:</strong> ${text}</p>`)}
    ${rows.length > 0 && html`<p><strong>Worth a look:</strong></p>
      <ul class="plain-list">${rows.map((row) => html`<li key=${row.path}><button class="plain small" onClick=${() => setQuery({ actor: row.path })}>${row.actor.name}</button> ${row.wrong.join("; ")}${row.actor.last_error ? html`: <span class="dim anywhere">${row.actor.last_error}</span>` : ""}</li>`)}</ul>`}
  </div>`;
}

const closedOf = (query) => new Set((query.closed ?? "").split(",").filter(Boolean));

function fold(closed, path, shut) {
  const next = new Set(closed);
  if (shut) next.add(path);
  else next.delete(path);
  setQuery({ closed: [...next].join(",") });
}

/** Rows of a tree; arrows move, right and left open and close, Enter tells more. */
function Tree({ rows, figures, bad, chosen, closed }) {
  const shown = visible(rows, closed);
  const box = useRef(null);
  const at = Math.max(0, shown.findIndex((row) => row.path === chosen));
  const held = useRef(false);
  useEffect(() => {
    if (held.current) box.current?.querySelector('[tabindex="0"]')?.focus();
  }, [chosen]);
  const choose = (row) => row && setQuery({ actor: row.path });
  const press = (event) => {
    const row = shown[at];
    const open = row.children > 0 && !closed.has(row.path);
    const steps = {
      ArrowDown: () => choose(shown[Math.min(at + 1, shown.length - 1)]),
      ArrowUp: () => choose(shown[Math.max(at - 1, 0)]),
      Home: () => choose(shown[0]),
      End: () => choose(shown.at(-1)),
      ArrowRight: () => (row.children > 0 && !open ? fold(closed, row.path, false) : open && choose(shown[at + 1])),
      ArrowLeft: () => (open ? fold(closed, row.path, true) : choose(shown.find((one) => one.path === row.above))),
      Enter: () => setQuery({ actor: chosen === row.path ? null : row.path }),
    };
    if (!steps[event.key]) return;
    event.preventDefault();
    held.current = true;
    steps[event.key]();
  };
  return html`<div class="tree" ref=${box}>
    <div class="tree-row tree-head" aria-hidden="true"><span>Actor</span><span>State</span><span>Mailbox</span><span class="number">Peak</span><span class="number">Handled</span><span class="number">A second</span><span class="number">Restarts</span></div>
    <div role="tree" aria-label="Actors" onKeyDown=${press}>
      ${shown.map((row, i) => html`<${Row} key=${row.path} row=${row} figures=${figures.get(row.path)} wrong=${bad.has(row.path)} here=${i === at} chosen=${row.path === chosen} open=${!closed.has(row.path)}
        turn=${() => fold(closed, row.path, !closed.has(row.path))} />`)}
    </div>
  </div>`;
}

function Row({ row, figures, wrong, here, chosen, open, turn }) {
  const { actor, level, children } = row;
  const { mailbox, handled } = actor.statistics ?? {};
  const [look, sign] = STATES[actor.state] ?? ["scheduled", "·"];
  const folded = (event) => {
    event.stopPropagation();
    turn();
  };
  const busy = figures?.busy != null && figures.busy > 1;
  return html`<div role="treeitem" class=${classes("tree-row", chosen && "chosen", wrong && "wrong-row")} aria-level=${level} aria-expanded=${children ? open : undefined} aria-selected=${chosen}
      tabindex=${here ? 0 : -1} onClick=${() => setQuery({ actor: chosen ? null : row.path })}>
    <span class="tree-name" style=${{ paddingLeft: `${(level - 1) * 1.1}rem` }}>
      ${children ? html`<span class="tree-fold" aria-hidden="true" onClick=${folded}>${open ? "▾" : "▸"}</span>` : html`<span class="tree-fold"></span>`}
      <span class="anywhere">${wrong && html`<span class="is-failed" title="worth a look"><strong>! </strong></span>`}<span class=${actor.kind === "supervisor" ? "" : "name"}>${actor.name}</span> ${actor.kind !== "actor" && html`<span class="tiny dim">${actor.kind}</span>`}</span>
    </span>
    <span><${Sign} look=${look} sign=${sign}>${actor.state}<//>${busy && html`<span class="tiny dim nowrap"> at one batch ${duration(figures.busy * 1_000)}</span>`}</span>
    <span>${mailbox && html`<${Bar} label=${`Messages that wait for ${actor.name}`} value=${mailbox.depth} most=${mailbox.capacity} warn=${mailbox.depth > mailbox.capacity / 2} words=${`${count(mailbox.depth)} of ${count(mailbox.capacity)}`} />`}</span>
    <span class="number" data-label="Peak">${mailbox && count(mailbox.peak)}</span>
    <span class="number" data-label="Handled">${count(handled)}</span>
    <span class="number" data-label="A second">${figures?.rate == null ? "" : figures.rate < 10 ? figures.rate.toFixed(1) : count(Math.round(figures.rate))}</span>
    <span class=${classes("number", !actor.restarts && "of-none")} data-label="Restarts">${actor.restarts > 0 ? html`<${Sign} look="failed" sign="↻">${count(actor.restarts)}<//>` : html`<span class="dim">0</span>`}</span>
  </div>`;
}

function Detail({ row, figures }) {
  const { actor } = row;
  const { mailbox, handled, batches, deadline_seconds: allowed } = actor.statistics ?? {};
  const wrong = troubles(actor, figures);
  const failure = actor.last_error && crash(actor.last_error);
  return html`<${Card} title=${actor.name} aside=${html`<button class="plain small" onClick=${() => setQuery({ actor: null })}>Close</button>`}>
    <div class="stack">
      ${wrong.length > 0 && html`<div class="note warn">${wrong.map((text) => html`<p>It ${text}.</p>`)}</div>`}
      <${Facts} rows=${[
        ["In the tree", row.path],
        ["Kind", actor.kind],
        ["State", actor.state],
        ["Restarts", count(actor.restarts)],
        ["Children", row.children ? many(row.children, "actor") : null],
        ["Messages waiting", mailbox && `${count(mailbox.depth)} of ${count(mailbox.capacity)}, at most ${count(mailbox.peak)}`],
        ["Received", mailbox && count(mailbox.received)],
        ["Handled", handled !== undefined ? `${count(handled)} in ${many(batches, "batch", "batches")}` : null],
        ["A batch", batches ? `${(handled / batches).toFixed(1)} messages on average` : null],
        ["Refused", mailbox && (mailbox.refused ? `${count(mailbox.refused)}: its mailbox was full` : "none")],
        ["Senders waiting", mailbox && count(mailbox.waiting)],
        ["Given up by askers", mailbox && count(mailbox.late)],
        ["A batch may take", allowed && duration(allowed * 1_000)],
        ["At one batch for", figures?.busy != null ? `${duration(figures.busy * 1_000)} (as seen here)` : actor.statistics ? "nothing: it waits for messages" : null],
      ]} />
      ${failure && html`<section class="stack" aria-label="Last crash"><h3>Last crash</h3><p><code>${failure.name}</code></p><pre class="command">${failure.message || actor.last_error}</pre><p class="small dim">The traceback is in the log of the node.</p></section>`}
      ${actor.kind === "supervisor" && html`<p class="small dim">A supervisor handles no messages: it starts its children in order, and again when they crash. Too many crashes in a short time, and it gives up and asks its own supervisor.</p>`}
      <p class="small"><a href=${link("health")}>Health of the node</a></p>
    </div>
  <//>`;
}
