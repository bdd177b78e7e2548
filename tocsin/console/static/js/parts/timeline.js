// The time axis: what was at the left, now, and what comes at the right; a lane for each node. Drawn on a canvas, for there may be much.

import { html, useEffect, useRef, useState } from "../lib.js";
import { clock, duration, zone } from "../format.js";
import { go, link } from "../router.js";
import { useStore } from "../store.js";
import { MANY, NOBODY, ROWS } from "../timeline_model.js";
import { theme } from "./frame.js";

/** How much of the width is past. */
const PAST = 0.6;

const ROW = 14;
const GAP = 2;
const HEAD = 22;
const NAME = 84;
const LEAST = 3;
const MARK = 9;

/** Pictures a second while nothing but time passes. */
const FRAMES = 12;

const STEPS = [1, 5, 10, 15, 30, 60, 300, 600, 900, 1_800, 3_600, 7_200, 21_600, 43_200, 86_400].map((seconds) => seconds * 1_000);

const COLOURS = ["text", "dim", "line", "back", "raised", "accent", "completed", "running", "waiting", "scheduled", "failed", "crashed", "cancelled", "late", "skipped"];

function colours(element) {
  const found = getComputedStyle(element);
  return Object.fromEntries(COLOURS.map((name) => [name, resolve(element, found.getPropertyValue(`--${name}`))]));
}

// Canvases know no light-dark(): the element is asked what it comes to.
function resolve(element, value) {
  element.style.color = value;
  const colour = getComputedStyle(element).color;
  element.style.color = "";
  return colour;
}

/** Instant -> place, for a window of `span` milliseconds around now. */
function scaleOf(width, span, now) {
  const left = width > 600 ? NAME : 0;
  const from = now - span * PAST;
  const perPixel = span / (width - left);
  return { left, from, to: from + span, perPixel, x: (at) => left + (at - from) / perPixel, span };
}

function drawAxis(pen, scale, height, now, colour) {
  const step = STEPS.find((one) => one / scale.perPixel >= 74) ?? STEPS.at(-1);
  pen.font = "11px system-ui, sans-serif";
  pen.textBaseline = "middle";
  for (let at = Math.ceil(scale.from / step) * step; at < scale.to; at += step) {
    const x = Math.round(scale.x(at)) + 0.5;
    pen.strokeStyle = colour.line;
    pen.beginPath();
    pen.moveTo(x, HEAD);
    pen.lineTo(x, height);
    pen.stroke();
    pen.fillStyle = colour.dim;
    pen.fillText(clock(at).slice(0, step < 60_000 ? 8 : 5), x + 3, HEAD / 2);
  }
  const x = Math.round(scale.x(now)) + 0.5;
  pen.fillStyle = colour.raised;
  pen.fillRect(x - 20, 2, 40, HEAD - 4);
  pen.fillStyle = colour.accent;
  pen.fillText("now", x - 11, HEAD / 2);
}

function drawNow(pen, scale, height, now, colour) {
  const x = Math.round(scale.x(now));
  pen.fillStyle = colour.accent;
  pen.fillRect(x, HEAD, 2, height - HEAD);
}

function drawName(pen, scale, name, top, height, colour) {
  pen.fillStyle = colour.line;
  pen.fillRect(0, top + height, scale.x(scale.to), 1);
  if (!scale.left) return;
  pen.fillStyle = colour.back;
  pen.fillRect(0, top, scale.left, height);
  pen.fillStyle = name === NOBODY ? colour.dim : colour.text;
  pen.fillText(name === NOBODY ? "no node yet" : name.slice(0, 13), 6, top + height / 2);
}

function drawBars(pen, scale, model, lane, top, now, colour, hits) {
  const { rows, hidden } = model.rows(lane, now, scale.perPixel * (LEAST + 1));
  rows.forEach((bars, row) => {
    const y = top + GAP + row * (ROW + GAP);
    for (const bar of bars) {
      const from = Math.max(scale.left, scale.x(bar.start));
      const width = Math.max(LEAST, scale.x(bar.end ?? now) - from);
      if (from + width < scale.left) continue;
      pen.fillStyle = colour[bar.look] ?? colour.scheduled;
      pen.fillRect(from, y, width, ROW);
      hits.push({ x: from, y, width, height: ROW, bar });
      if (width > 60) {
        pen.save();
        pen.beginPath();
        pen.rect(from, y, width - 4, ROW);
        pen.clip();
        pen.fillStyle = colour.raised;
        pen.fillText(bar.task, from + 4, y + ROW / 2 + 0.5);
        pen.restore();
      }
    }
  });
  if (hidden) {
    pen.fillStyle = colour.dim;
    pen.fillText(`+${hidden}`, scale.left + 4, top + GAP + ROWS * (ROW + GAP) - ROW / 2);
  }
}

// Too many to tell apart: how many ended in each second, one upon another by what they came to.
function drawHeights(pen, scale, model, lane, top, height, colour) {
  let highest = 1;
  const found = [];
  for (const [second, lanes] of model.seconds) {
    const counts = lanes.get(lane);
    if (!counts) continue;
    const sum = Object.values(counts).reduce((a, b) => a + b, 0);
    highest = Math.max(highest, sum);
    found.push([second, counts]);
  }
  const width = Math.max(1, 1_000 / scale.perPixel - 0.5);
  for (const [second, counts] of found) {
    const x = scale.x(second * 1_000);
    if (x < scale.left) continue;
    let y = top + height;
    for (const [look, number] of Object.entries(counts)) {
      const tall = (number / highest) * (height - 4);
      y -= tall;
      pen.fillStyle = colour[look] ?? colour.scheduled;
      pen.fillRect(x, y, width, tall);
    }
  }
  pen.fillStyle = colour.dim;
  pen.fillText(`up to ${highest}/s`, scale.left + 6, top + 9);
}

function drawComing(pen, scale, model, lane, top, height, now, colour, hits) {
  const columns = new Map();
  const each = scale.perPixel * (MARK + 1);
  for (const one of model.coming) {
    if (one.node !== lane || one.at < now || one.at > scale.to) continue;
    const column = Math.floor(one.at / each); // of time, not of the picture: so that the marks glide
    const pile = columns.get(column) ?? [];
    pile.push(one);
    columns.set(column, pile);
  }
  const room = Math.max(1, Math.floor((height - 2 * GAP) / (MARK + GAP)));
  pen.lineWidth = 1.5;
  for (const [column, pile] of columns) {
    pile.slice(0, room).forEach((one, row) => {
      const last = row === room - 1 && pile.length > room;
      const box = { x: Math.max(scale.x(column * each), scale.x(now) + 3), y: top + GAP + row * (MARK + GAP), width: MARK - 2, height: MARK };
      pen.strokeStyle = colour[one.excluded ? "skipped" : "scheduled"];
      if (last) pen.fillStyle = colour.scheduled;
      last ? pen.fillRect(box.x, box.y, box.width, box.height) : pen.strokeRect(box.x + 0.5, box.y + 0.5, box.width - 1, box.height - 1);
      hits.push({ ...box, coming: last ? pile.slice(row) : [one] });
    });
  }
  pen.lineWidth = 1;
}

/** Draw everything. Answers what lies where, to be pointed at. */
export function draw(canvas, model, { span, now, nodes, colour }) {
  const width = canvas.clientWidth;
  const lanes = model.lanes(nodes);
  const tall = ROWS * (ROW + GAP) + GAP;
  const height = HEAD + Math.max(1, lanes.length) * (tall + 1);
  const ratio = devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.height = `${height}px`;
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  const scale = scaleOf(width, span, now);
  const hits = [];
  drawAxis(pen, scale, height, now, colour);
  const crowded = model.ended(scale.from, now) > MANY;
  lanes.forEach((lane, i) => {
    const top = HEAD + i * (tall + 1);
    if (crowded) drawHeights(pen, scale, model, lane, top, tall, colour);
    else drawBars(pen, scale, model, lane, top, now, colour, hits);
    drawComing(pen, scale, model, lane, top, tall, now, colour, hits);
    drawName(pen, scale, lane, top, tall, colour);
  });
  drawNow(pen, scale, height, now, colour);
  return hits;
}

function wordsOf(hit, now) {
  if (hit.bar) {
    const { task, state, start, end } = hit.bar;
    return `${task}: ${state.toLowerCase()}, ${clock(start)}, ${duration((end ?? now) - start)}${end === null ? " so far" : ""}`;
  }
  const [first] = hit.coming;
  const more = hit.coming.length - 1;
  return `${first.task} at ${clock(first.at)}${first.excluded ? `, left out by ${first.excluded}` : ""}${more ? `, and ${more} more` : ""}`;
}

/** The axis of a model, `span` milliseconds wide. `words`: what it shows, for those who do not see it. */
export function TimeAxis({ model, span, nodes, words }) {
  const canvas = useRef(null);
  const hits = useRef([]);
  const [told, setTold] = useState(null);
  const colouring = useStore(theme);
  const zoned = useStore(zone);
  useEffect(() => {
    let frame = null;
    let last = 0;
    let colour = colours(canvas.current);
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const recolour = () => (colour = colours(canvas.current));
    dark.addEventListener("change", recolour);
    const tick = (time) => {
      frame = requestAnimationFrame(tick);
      // Between the page's going and the end of this effect there may be a frame more.
      if (!canvas.current || time - last < 1_000 / (still ? 1 : FRAMES)) return;
      last = time;
      hits.current = draw(canvas.current, model, { span, now: Date.now(), nodes, colour });
    };
    frame = requestAnimationFrame(tick);
    return () => {
      cancelAnimationFrame(frame);
      dark.removeEventListener("change", recolour);
    };
  }, [span, nodes.join(), colouring, zoned]);

  const under = (event) => {
    const box = canvas.current.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    return hits.current.findLast((hit) => x >= hit.x - 2 && x <= hit.x + hit.width + 2 && y >= hit.y && y <= hit.y + hit.height);
  };
  const point = (event) => {
    const hit = under(event);
    setTold(hit ? { text: wordsOf(hit, Date.now()), x: event.nativeEvent?.offsetX ?? event.offsetX, y: event.offsetY } : null);
    canvas.current.style.cursor = hit ? "pointer" : "";
  };
  const follow = (event) => {
    const hit = under(event);
    if (hit) go(hit.bar ? link("executions", hit.bar.id) : link("tasks", hit.coming[0].taskId));
  };
  return html`<div class="axis">
    <canvas ref=${canvas} role="img" aria-label=${words} onMouseMove=${point} onMouseLeave=${() => setTold(null)} onClick=${follow}></canvas>
    ${told && html`<div class="axis-words" style=${{ left: `${told.x}px`, top: `${told.y + 18}px` }}>${told.text}</div>`}
  </div>`;
}
