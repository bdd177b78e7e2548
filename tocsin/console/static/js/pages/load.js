// The next seven days by the minute: where tasks crowd together, which they are, and how to spread them.

import { html, useMemo } from "../lib.js";
import { get } from "../api.js";
import { clock, count, day, full, many, zone } from "../format.js";
import { days } from "../load_model.js";
import { useLoaded } from "../load.js";
import { link, setQuery } from "../router.js";
import { useStore } from "../store.js";
import { Heat, Scale } from "../parts/heat.js";
import { Card, Empty, Head, Loaded, Tile } from "../parts/page.js";
import { Spread } from "../parts/spread.js";
import { Table } from "../parts/table.js";

/** Pixels of a row: of a day, and of an hour. */
const DAY_HEIGHT = 26;
const HOUR_HEIGHT = 18;

/** Tasks of one minute that are named at the most. */
const MOST = 200;

const WEEKDAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

export function Page({ query }) {
  const zoned = useStore(zone);
  const load = useLoaded((signal) => get("/load", { days: 7 }, signal), []);
  return html`
    <${Head} title="Load map" about="What will start in each minute of the next seven days, if nothing changes." actions=${html`<button onClick=${load.again}>Look again</button>`} />
    ${load.data === null && load.error?.status === 404
      ? html`<${Card}><${Empty} title="This node cannot tell the load." command="tocsin task next TASK">It runs an older version. The next times of one task:<//><//>`
      : html`<${Loaded} of=${load}>${(known) => html`<${Map} known=${known} query=${query} zoned=${zoned} again=${load.again} />`}<//>`}`;
}

function Map({ known, query, zoned, again }) {
  const all = useMemo(() => days(known), [known, zoned]);
  if (known.total === 0) {
    return html`<${Card}><${Empty} title="Nothing starts by itself in the next seven days." command="tocsin task add hello --every 10s -- echo hello" action=${html`<a class="button primary" href=${link("new")}>New task</a>`}>Tasks with a trigger appear here:<//><//>`;
  }
  const most = Math.max(...all.map((one) => one.most));
  const minute = query.minute && !Number.isNaN(Date.parse(query.minute)) ? Date.parse(query.minute) : null;
  const chosen = all.find((one) => one.day === (query.day ?? (minute === null ? null : day(minute)))) ?? all.find((one) => one.most === most);
  const average = known.total / known.minutes;
  return html`
    <div class="tiles">
      <${Tile} label="fires in seven days" value=${count(known.total)} about=${`${many(known.tasks, "task")} with ${many(known.triggers, "trigger")}`} />
      <${Tile} label="tasks" value=${count(known.tasks)} href=${link("tasks")} />
      <${Tile} label="a minute on average" value=${average < 10 ? average.toFixed(1) : count(Math.round(average))} />
      <${Tile} label="in the worst minute" value=${count(most)} about=${known.peaks[0] && full(known.peaks[0].minute)} />
    </div>
    ${known.truncated && html`<div class="note warn"><strong>Not all of it is here:</strong> ${known.truncated}</div>`}
    <${Card} title="Seven days" aside=${html`<${Scale} most=${most} />`}><${Week} all=${all} most=${most} chosen=${chosen} /><//>
    <${Card} title=${`${weekday(chosen.day)} ${chosen.day}`} aside=${html`<span class="small dim">${many(chosen.total, "fire")}, at most ${count(chosen.most)} a minute</span>`}><${Day} one=${chosen} most=${most} minute=${minute} /><//>
    ${minute !== null && html`<${Minute} key=${minute} at=${minute} peaks=${known.peaks} within=${query.within} again=${again} />`}
    <${Worst} peaks=${known.peaks} chosen=${minute} />`;
}

const weekday = (name) => WEEKDAYS[new Date(`${name}T12:00:00Z`).getUTCDay()];

const goTo = (at) => setQuery({ minute: new Date(at).toISOString(), day: day(at) }, { replace: false });

/** Minutes of one square of the week: as narrow as a screen can show. */
const WIDE = 5;

function Week({ all, most, chosen }) {
  const fullest = (row, column) => all[row].minutes.slice(column * WIDE, (column + 1) * WIDE).reduce((best, one) => (one && (!best || one.fires > best.fires) ? one : best), undefined);
  const cells = {
    rows: all.length,
    columns: 1440 / WIDE,
    at: (row, column) => fullest(row, column)?.fires ?? 0,
    words: (row, column) => {
      const one = fullest(row, column);
      return one ? `${all[row].day} ${clock(one.at).slice(0, 5)}: ${many(one.fires, "fire")} in a minute, the most of these ${WIDE}` : `${all[row].day}: not looked at`;
    },
  };
  const choose = (row, column) => {
    const one = fullest(row, column);
    if (one?.fires) goTo(one.at);
    else setQuery({ day: all[row].day, minute: null });
  };
  return html`<${Heat} cells=${cells} most=${most} height=${all.length * DAY_HEIGHT} label="Fires by day and time" choose=${choose}
    labels=${all.map((one) => html`<button type="button" class="plain heat-day" tabindex="-1" aria-pressed=${one === chosen} onClick=${() => setQuery({ day: one.day, minute: null })}>${weekday(one.day)} ${one.day.slice(5)}</button>`)}
    foot=${[0, 6, 12, 18, 24].map((hour) => html`<span>${hour}:00</span>`)} />`;
}

function Day({ one, most, minute }) {
  const cells = {
    rows: 24,
    columns: 60,
    at: (row, column) => one.minutes[row * 60 + column]?.fires ?? 0,
    words: (row, column) => {
      const found = one.minutes[row * 60 + column];
      return found ? `${clock(found.at).slice(0, 5)}: ${many(found.fires, "fire")}` : "not looked at";
    },
  };
  const place = minute !== null && day(minute) === one.day ? clock(minute).split(":").map(Number) : null;
  const choose = (row, column) => {
    const found = one.minutes[row * 60 + column];
    if (found) goTo(found.at);
  };
  return html`<${Heat} cells=${cells} most=${most} height=${24 * HOUR_HEIGHT} label=${`Fires of ${one.day} by hour and minute`} choose=${choose} chosen=${place?.slice(0, 2)}
    labels=${Array.from({ length: 24 }, (_, hour) => html`<span>${String(hour).padStart(2, "0")}</span>`)}
    foot=${[0, 15, 30, 45, 60].map((at) => html`<span>:${String(at).padStart(2, "0")}</span>`)} />`;
}

const TASKS = [
  { label: "Task", lead: true, cell: (one) => html`<a class="name" href=${link("tasks", one.taskId)}>${one.task ?? one.taskId}</a>` },
  { label: "Type", cell: (one) => html`<span class="small dim anywhere">${one.taskType}</span>` },
  { label: "Fires", number: true, fit: true, cell: (one) => count(one.fires) },
];

/** The tasks of a minute: of a peak they are known, else the coming fires tell. */
async function tasksOf(at, peaks, signal) {
  const known = peaks.find((peak) => Date.parse(peak.minute) === at);
  if (known) return { tasks: known.tasks, others: known.others };
  const { list, folded, more } = await get("/upcoming", { from: new Date(at).toISOString(), until: new Date(at + 60_000).toISOString(), limit: MOST }, signal);
  const found = new globalThis.Map();
  for (const { taskId, task, taskType } of list) {
    const one = found.get(taskId) ?? { taskId, task, taskType, fires: 0 };
    one.fires += 1;
    found.set(taskId, one);
  }
  return { tasks: [...found.values()].sort((a, b) => b.fires - a.fires), others: more || folded.length ? null : 0 };
}

function Minute({ at, peaks, within, again }) {
  const loaded = useLoaded((signal) => tasksOf(at, peaks, signal), [at]);
  const total = loaded.data?.tasks.reduce((sum, { fires }) => sum + fires, 0);
  return html`<${Card} title=${`The minute ${day(at)} ${clock(at).slice(0, 5)}`} aside=${html`<button class="plain small" onClick=${() => setQuery({ minute: null })}>Close</button>`}>
    <${Loaded} of=${loaded}>${({ tasks, others }) =>
      tasks.length === 0
        ? html`<p class="dim">Nothing starts in this minute.</p>`
        : html`<div class="stack"><${Table} caption="Tasks of the minute" columns=${TASKS} rows=${tasks} rowKey=${(one) => one.taskId} />
            ${others > 0 && html`<p class="small dim">and ${many(others, "fire")} of other tasks</p>`}${others === null && html`<p class="small dim">and more</p>`}
            ${total + (others ?? 1) > 1 && html`<${Spread} minute=${new Date(at).toISOString()} within=${within ?? "10m"} done=${again} />`}</div>`}<//>
  <//>`;
}

const WORST = [
  { label: "Minute", lead: true, cell: (peak) => html`<button type="button" class="plain small" onClick=${() => goTo(Date.parse(peak.minute))}><time datetime=${peak.minute}>${weekday(day(peak.minute))} ${full(peak.minute).slice(0, 16)}</time></button>` },
  { label: "Fires", number: true, fit: true, cell: (peak) => count(peak.fires) },
  { label: "Tasks", cell: (peak) => html`<span class="anywhere">${peak.tasks.slice(0, 3).map((one, i) => html`${i > 0 && ", "}<a href=${link("tasks", one.taskId)}>${one.task ?? one.taskId}</a>${one.fires > 1 && ` (${count(one.fires)})`}`)}${peak.fires > peak.tasks.slice(0, 3).reduce((sum, { fires }) => sum + fires, 0) && " and others"}</span>` },
];

const Worst = ({ peaks }) => html`<${Card} flush title="The worst minutes"><${Table} caption="The worst minutes" columns=${WORST} rows=${peaks} rowKey=${(peak) => peak.minute} /><//>`;
