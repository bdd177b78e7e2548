// What a handler logged, as it logs it.

import { classes, html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../lib.js";
import { get, path } from "../api.js";
import { count, full, many } from "../format.js";
import { setQuery } from "../router.js";
import { Problem } from "./page.js";
import { Clock } from "./time.js";

const LEVELS = ["debug", "info", "warning", "error", "critical"];

/** Lines of one request: what the node gives at most is five times that. */
const CHUNK = 1_000;

/** Lines that are drawn; the others are there on demand and in what is downloaded. */
const DRAWN = 1_000;

/** Lines that are kept: beyond it the oldest go, so that a page left open for days does not grow without bound. */
const KEPT = 50_000;

/** Milliseconds between two looks while it runs. */
const REST = 1_000;

/** The lines of an execution: {lines, error, lost}. It looks for new ones as long as `open`, and once more after that. */
export function useLines(id, open) {
  const [state, setState] = useState({ lines: [], error: null, lost: 0 });
  const last = useRef(0);
  useEffect(() => {
    const stop = new AbortController();
    let timer = null;
    const look = async () => {
      let full = false;
      try {
        const { list } = await get(path`/executions/${id}/logs`, { after: last.current, limit: CHUNK }, stop.signal);
        full = list.length === CHUNK;
        if (list.length) last.current = list.at(-1).sequence;
        setState((before) => (list.length || before.error ? kept(before, list) : before));
      } catch (error) {
        if (stop.signal.aborted) return;
        setState((before) => ({ ...before, error }));
      }
      if (!stop.signal.aborted && (full || open)) timer = setTimeout(look, full ? 0 : REST);
    };
    look();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [id, open]);
  return state;
}

function kept(before, list) {
  const lines = [...before.lines, ...list];
  const lost = Math.max(0, lines.length - KEPT);
  return { lines: lost ? lines.slice(lost) : lines, error: null, lost: before.lost + lost };
}

const rank = (level) => Math.max(0, LEVELS.indexOf(level.toLowerCase()));

/** The lines at a level or above that have a text in them. */
export function chosenLines(lines, level, text) {
  const least = level ? rank(level) : 0;
  const part = text.toLowerCase();
  return lines.filter((line) => rank(line.level) >= least && (!part || line.text.toLowerCase().includes(part)));
}

function download(lines, name) {
  const text = lines.map((line) => `${line.at} ${line.level.toUpperCase()} [${line.attempt}] ${line.text}\n`).join("");
  const address = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  const anchor = Object.assign(document.createElement("a"), { href: address, download: name });
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(address), 1_000);
}

/** A box that stays at its end while lines come, until somebody scrolls up. */
function useFollowing(lines) {
  const box = useRef(null);
  const [following, setFollowing] = useState(true);
  useLayoutEffect(() => {
    if (following && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [lines, following]);
  const scrolled = () => {
    const { scrollTop, scrollHeight, clientHeight } = box.current;
    setFollowing(scrollHeight - scrollTop - clientHeight < 24);
  };
  return { box, following, scrolled, follow: () => setFollowing(true) };
}

/** The log of an execution. open: whether more may come. query: of the address, which holds the level. */
export function Log({ id, open, query }) {
  const { lines, error, lost } = useLines(id, open);
  const [text, setText] = useState("");
  const [whole, setWhole] = useState(false);
  const fitting = useMemo(() => chosenLines(lines, query.log, text), [lines, query.log, text]);
  const drawn = whole ? fitting : fitting.slice(-DRAWN);
  const { box, following, scrolled, follow } = useFollowing(drawn);
  return html`<div class="stack">
    <div class="row log-head">
      <select aria-label="Level" value=${query.log ?? ""} onChange=${(event) => setQuery({ log: event.target.value })}>
        <option value="">All levels</option>${LEVELS.slice(1, 4).map((level) => html`<option value=${level}>${level} and worse</option>`)}</select>
      <input type="search" aria-label="Find in the log" placeholder="find in the log" value=${text} onInput=${(event) => setText(event.target.value)} />
      <span class="small dim" role="status">${fitting.length < lines.length ? `${count(fitting.length)} of ` : ""}${many(lines.length, "line")}</span>
      <button type="button" class="small" disabled=${!lines.length} onClick=${() => download(fitting, `${id}.log`)}>Download</button>
      ${!following && html`<button type="button" class="small primary" onClick=${follow}>${open ? "Follow ↓" : "To the end ↓"}</button>`}
    </div>
    ${error && html`<${Problem} error=${error} />`}
    ${lost > 0 && html`<p class="small dim">The first ${count(lost)} lines are not kept here any more; the node has them.</p>`}
    ${fitting.length > drawn.length && html`<div><button type="button" class="small plain" onClick=${() => setWhole(true)}>Show the ${count(fitting.length - drawn.length)} lines before these</button></div>`}
    ${drawn.length > 0
      ? html`<div class="log" ref=${box} onScroll=${scrolled} tabindex="0" role="log" aria-label="Log">${drawn.map((line) => html`<${Line} key=${line.sequence} line=${line} />`)}</div>`
      : html`<p class="dim small">${lines.length ? "No line fits." : open ? "Nothing logged yet. What the handler says with ctx.log comes here." : "It logged nothing. What a handler says with ctx.log stands here."}</p>`}
  </div>`;
}

function Line({ line }) {
  const level = line.level.toLowerCase();
  return html`<div class=${classes("line", `level-${level}`)}><span title=${`${full(line.at, { fine: true })}, attempt ${line.attempt}`}><${Clock} at=${line.at} fine /> <span class="level">${level === "info" ? "" : level}</span></span><span class="anywhere pre">${line.text}</span></div>`;
}
