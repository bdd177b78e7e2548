// Whether all is well: a verdict, what is wrong and what to do about it, and the figures that are worth a look.

import { html, useEffect, useMemo, useState } from "../lib.js";
import { get } from "../api.js";
import { count, duration, relative, useNow } from "../format.js";
import { useEvery } from "../every.js";
import { findings, verdict } from "../health.js";
import { useLoaded } from "../load.js";
import { look, looked, quantile, total } from "../metrics.js";
import { link } from "../router.js";
import { useStore } from "../store.js";
import { Sign } from "../parts/bar.js";
import { Elsewhere, curlLine } from "../parts/copy.js";
import { Card, Facts, Head, Loaded, Problem } from "../parts/page.js";
import { Sparkline } from "../parts/sparkline.js";

const LOOK = 2_000;

/** What was asked, or what it was refused with: a 503 of readiness is an answer here. */
const told = (promise) => promise.then((body) => ({ ok: true, body }), (error) => {
  if (error.name === "AbortError") throw error;
  return { ok: false, error };
});

/** Null where it cannot be had: the page then says nothing of it. */
const orNull = (promise) => told(promise).then(({ ok, body }) => (ok ? body : null));

async function readAll(signal) {
  const [ready, live, nodes, scheduler, canaries, version] = await Promise.all([
    told(get("/health/ready", {}, signal)),
    told(get("/health/live", {}, signal)),
    orNull(get("/nodes", {}, signal)),
    orNull(get("/scheduler", {}, signal)),
    orNull(get("/canaries", {}, signal)),
    orNull(get("/version", {}, signal)),
  ]);
  return { ready, live, nodes, scheduler, canaries, version, at: Date.now() };
}

const LOOKS = { bad: ["failed", "✕", "Wrong"], warn: ["waiting", "!", "Worth a look"], note: ["scheduled", "·", "To know"], good: ["completed", "✓", "Well"] };

export function Page() {
  const all = useLoaded(readAll, []);
  const [refused, setRefused] = useState(null);
  const figures = useStore(looked);
  const lookOnce = () => look().then(() => setRefused(null), setRefused);
  useEffect(() => void lookOnce(), []);
  useEvery(LOOK, () => (all.again(), lookOnce()));
  return html`
    <${Head} title="Health" about="Whether tasks run on time, and what to do if they do not." />
    <${Loaded} of=${all}>${(known) => {
      const found = findings({ ...known, figures: figures.at(-1)?.figures });
      return html`
        <${Verdict} result=${verdict(found, known.nodes)} at=${known.at} />
        ${found.length > 0 && html`<${Findings} list=${found} />`}
        <div class="health-cards">
          <${Checks} known=${known} />
          <${Canaries} known=${known.canaries} />
        </div>`;
    }}<//>
    ${refused ? html`<${Problem} error=${refused} />` : html`<${Figures} looks=${figures} />`}
    <${Card} title="Elsewhere"><div class="stack"><p class="small dim">The same from outside: for load balancers, for monitoring, and as a check of all that a node needs.</p>
      <${Elsewhere} cli="tocsin doctor" curl=${curlLine("GET", "/health/ready")} /></div><//>`;
}

function Verdict({ result, at }) {
  const [look, sign] = LOOKS[result.level];
  const now = useNow();
  return html`<div class=${`verdict verdict-${result.level}`} role="status"><span class=${`state is-${look}`} data-sign=${sign}></span>
    <span class="words">${result.words}</span><span class="small dim nowrap">looked ${relative(new Date(at).toISOString(), Math.max(now, at))}</span></div>`;
}

function Findings({ list }) {
  return html`<${Card} title="What is found"><ul class="findings">
    ${list.map(({ level, what, means, act, page }) => {
      const [look, sign, word] = LOOKS[level];
      return html`<li key=${what}><${Sign} look=${look} sign=${sign}>${word}<//>
        <div><p><strong class="anywhere">${what}</strong></p><p class="dim">${means}</p><p>What to do: ${act} ${page && html`<a href=${link(page)}>Look</a>`}</p></div></li>`;
    })}
  </ul><//>`;
}

const check = (well, yes, no) => (well === null ? html`<span class="dim">unknown</span>` : html`<${Sign} look=${well ? "completed" : "failed"} sign=${well ? "✓" : "✕"}>${well ? yes : no}<//>`);

function Checks({ known: { ready, live, nodes, scheduler, version } }) {
  const coordination = nodes?.coordination;
  const living = nodes?.list.filter(({ state }) => state === "alive").length;
  return html`<${Card} title="Checks"><${Facts} rows=${[
    ["Process", check(live.ok, "answers", "does not answer")],
    ["Keeps time", check(ready.ok, "yes", "no")],
    ["Nodes", nodes && `${count(living)} of ${count(nodes.list.length)} alive`],
    ["Coordination", coordination && check(coordination.connected && coordination.trusted, "connected and trusted", coordination.connected ? "not confirmed in time" : "not connected")],
    ["Partitions", coordination && `${count(coordination.owned)} of ${count(coordination.partitions)} owned`],
    ["Scheduler", scheduler && (scheduler.paused ? html`<${Sign} look="waiting" sign="‖">Paused<//>` : check(true, "runs"))],
    ["Version", version && `${version.tocsin}, Python ${version.python}, zones ${version.timezoneDatabase}`],
  ]} /><//>`;
}

function Canaries({ known }) {
  if (!known?.enabled) return html`<${Card} title="Canaries"><p class="dim">None run. A canary is a task that does nothing but run on time, so that you see it when nothing else does. Switch them on in the configuration:</p><pre class="command">[canary]${"\n"}enabled = true</pre><//>`;
  const { lateness } = known;
  const ms = (value) => (value === null ? "–" : duration(value));
  return html`<${Card} title="Canaries"><${Facts} rows=${[
    ["Well", html`${check(known.well === known.canaries, "", "")} ${count(known.well)} of ${count(known.canaries)}`],
    ["Due so far", count(known.due)],
    ["Missed", known.missed ? html`<${Sign} look="failed" sign="✕">${count(known.missed)}<//>` : "none"],
    ["Lateness", `half below ${ms(lateness.p50Ms)}, 99 of 100 below ${ms(lateness.p99Ms)}, worst ${ms(lateness.worstMs)}`],
  ]} /><//>`;
}

const seconds = (value) => (value === null ? "–" : value === Infinity ? "longer" : duration(value * 1_000));

/** What is drawn: [name, what it says, value of one look, words of a value, growth: of a counter, a second]. */
const CHOSEN = [
  ["Started", "attempts a second, on this node", (f) => total(f, "tocsin_attempts_started_total"), (v) => v.toFixed(1), true],
  ["Running", "attempts", (f) => total(f, "tocsin_attempts_running"), count, false],
  ["Waiting", "for a slot, a key or a queue", (f) => total(f, "tocsin_executions_waiting"), count, false],
  ["Due and not yet started", "for how long", (f) => total(f, "tocsin_timer_lateness_seconds"), seconds, false],
  ["Commits", "transactions a second", (f) => total(f, "tocsin_commit_seconds_count"), (v) => v.toFixed(1), true],
  ["Messages waiting", "in all mailboxes", (f) => total(f, "tocsin_mailbox_messages"), count, false],
  ["Loop stalls", "a second; each is 10 ms or more", (f) => total(f, "tocsin_loop_stalls_total"), (v) => v.toFixed(1), true],
  ["Deliveries due", "webhooks, mails", (f) => total(f, "tocsin_outbox_due"), count, false],
  ["Requests", "a second", (f) => total(f, "tocsin_http_requests_total"), (v) => v.toFixed(1), true],
];

function series(looks, value, growth) {
  const points = looks.map(({ at, figures }) => ({ at, value: value(figures) })).filter((point) => point.value !== null);
  if (!growth) return points;
  return points.slice(1).map((point, i) => ({ at: point.at, value: Math.max(0, ((point.value - points[i].value) / (point.at - points[i].at)) * 1_000) }));
}

function Figures({ looks }) {
  const drawn = useMemo(() => CHOSEN.map(([name, about, value, words, growth]) => ({ name, about, words, points: series(looks, value, growth) })), [looks]);
  const first = looks[0]?.figures;
  const last = looks.at(-1)?.figures;
  const late = last && { half: quantile(null, last, "tocsin_lateness_seconds", 0.5), most: quantile(null, last, "tocsin_lateness_seconds", 0.99) };
  return html`<${Card} title="Figures of this node" aside=${html`<span class="small dim">kept since this page was opened; <a href="/metrics" target="_blank" rel="noopener">all of them</a></span>`}>
    ${looks.length === 0
      ? html`<div class="loading" role="status">Reading …</div>`
      : html`<div class="figures">${drawn.map(({ name, about, words, points }) => html`<div class="figure" key=${name}>
          <div class="row spread"><span class="small dim">${name}</span><span class="figure-value">${points.length ? words(points.at(-1).value) : "…"}</span></div>
          <${Sparkline} points=${points} label=${`${name}, ${about}`} words=${words} />
          <span class="tiny dim">${about}</span></div>`)}</div>
        ${late?.half != null && html`<p class="small dim">From the planned instant to the start, since this node started: half within ${seconds(late.half)}, 99 of 100 within ${seconds(late.most)}.</p>`}
        ${first !== last && quantile(first, last, "tocsin_commit_seconds", 0.99) !== null && html`<p class="small dim">Transactions since this page was opened: 99 of 100 within ${seconds(quantile(first, last, "tocsin_commit_seconds", 0.99))}.</p>`}`}
  <//>`;
}
