// Calendars: days that tasks keep away from, or keep to.

import { html, useState } from "../lib.js";
import { get, may, path, put } from "../api.js";
import { many } from "../format.js";
import { useLoaded } from "../load.js";
import { link, setQuery } from "../router.js";
import { Action } from "../parts/action.js";
import { daysOf, emptyCalendar, readCalendar, turned, WEEKDAYS, writeCalendar } from "../parts/calendar_model.js";
import { commandLine, curlLine, Elsewhere } from "../parts/copy.js";
import { useDraft } from "../parts/draft.js";
import { refusal, TextField, wrongAt } from "../parts/field.js";
import { JsonField, Unread } from "../parts/form.js";
import { Card, Empty, Head, Loaded } from "../parts/page.js";
import { say } from "../parts/toast.js";
import { Year } from "../parts/year.js";

/** How many tasks are looked at for those that keep to a calendar. */
const LOOKED = 1_000;

export function Page({ query }) {
  const calendars = useLoaded((signal) => get("/calendars", {}, signal), []);
  const chosen = calendars.data?.list.find((one) => one.name === query.name);
  const year = /^\d{4}$/.test(query.year ?? "") ? Number(query.year) : new Date().getFullYear();
  const done = () => calendars.again();
  return html`<${Head} title="Calendars" about="Holidays, blackouts, working days: tasks run not on these days, or only on them."
      actions=${html`<button type="button" class="primary" disabled=${!may("operator")}
        onClick=${() => setQuery({ name: null, edit: "new" }, { replace: false })}>New calendar</button>`} />
    <${Loaded} of=${calendars}>${({ list }) => {
      if (query.edit === "new") return html`<${Editor} key="new" year=${year} done=${done} />`;
      if (chosen && query.edit) return html`<${Editor} key=${`${chosen.name} ${chosen.version}`} calendar=${chosen} year=${year} done=${done} />`;
      if (!list.length) return html`<${Card}><${None} /><//>`;
      return html`<div class="calendar-list">${list.map((one) => html`<${Entry} key=${one.name} calendar=${one} current=${one.name === query.name} />`)}</div>
        ${chosen && html`<${Shown} calendar=${chosen} year=${year} done=${done} />`}
        ${query.name && !chosen && html`<div class="note warn">There is no calendar ${query.name}.</div>`}`;
    }}<//>`;
}

const None = () => html`<${Empty} title="No calendars yet." command="tocsin calendar put holidays --day 2026-12-25 --weekday sun">
  A calendar holds days. A trigger then says that it runs not in it, or only in it. Make one here, or on the command line:<//>`;

function holds(calendar) {
  const { named, parted } = daysOf(calendar);
  return [
    calendar.weekdays.join(", "),
    named.size && many(named.size, "day"),
    calendar.windows.length && many(calendar.windows.length, "window"),
    !calendar.weekdays.length && !named.size && !parted.size && "no days",
  ]
    .filter(Boolean)
    .join("; ");
}

const Entry = ({ calendar, current }) => html`<a class="tile" href=${link("calendars", { name: calendar.name })} aria-current=${current ? "true" : undefined}>
  <strong class="anywhere" dir="auto">${calendar.name}</strong><span class="small">${holds(calendar)}</span>
  <span class="tiny dim">${calendar.timezone}, version ${calendar.version}</span></a>`;

function Years({ year }) {
  return html`<span class="row"><button type="button" class="small" aria-label="Year before"
    onClick=${() => setQuery({ year: year - 1 })}>‹</button><strong>${year}</strong>
    <button type="button" class="small" aria-label="Next year" onClick=${() => setQuery({ year: year + 1 })}>›</button></span>`;
}

function Shown({ calendar, year, done }) {
  const where = path`/calendars/${calendar.name}`;
  return html`<${Card} title=${calendar.name} aside=${html`<${Years} year=${year} /><button type="button" class="small" disabled=${!may("operator")}
    onClick=${() => setQuery({ edit: "1" }, { replace: false })}>Edit</button>
      <${Action} small danger label="Delete" title=${`Delete ${calendar.name}`} method="DELETE"
        where=${where} about="A calendar that a task uses cannot be deleted." cli=${commandLine("calendar", "delete", calendar.name)}
        said="Deleted" done=${() => {
          setQuery({ name: null });
          done();
        }} />`}>
    <div class="stack"><${Year} calendar=${calendar} year=${year} /><${Users} name=${calendar.name} />
      <${Elsewhere} cli=${commandLine("calendar", "show", calendar.name)} curl=${curlLine("GET", where)} /></div>
  <//>`;
}

function ruleWords({ mode, shift }) {
  const days = mode === "include" ? "only on its days" : "not on its days";
  return shift === "skip" ? days : `${days}, else on the ${shift === "next" ? "next day" : "day before"}`;
}

/** The tasks that keep to it. */
function Users({ name }) {
  const tasks = useLoaded((signal) => get("/tasks", { limit: LOOKED }, signal), [name]);
  return html`<${Loaded} of=${tasks}>${({ list, totalSize }) => {
    const using = list.map((task) => ({ task, rule: (task.trigger.calendars ?? []).find((rule) => rule.calendar === name) })).filter(({ rule }) => rule);
    const all = totalSize > list.length ? ` (of the first ${list.length} tasks)` : "";
    return html`<div><h3>Used by${all}</h3>${
      using.length
        ? html`<ul class="plain-list">${using.map(
            ({ task, rule }) => html`<li key=${task.itemId}><a class="anywhere"
        href=${link("tasks", task.itemId)}>${task.name}</a> <span class="small dim">${ruleWords(rule)}</span></li>`,
          )}</ul>`
        : html`<p class="dim small">no task</p>`
    }</div>`;
  }}<//>`;
}

const MODES = [
  ["fields", "Fields"],
  ["json", "JSON"],
  ["ics", "iCalendar"],
];

function Editor({ calendar, year, done }) {
  const draft = useDraft(`calendar.${calendar?.name ?? "new"}`, calendar ? readCalendar(calendar) : emptyCalendar());
  const [mode, setMode] = useState("fields");
  const [ics, setIcs] = useState({ text: "", from: "", until: "" });
  const [error, setError] = useState(null);
  const form = draft.value;
  const change = (changes) => draft.set({ ...form, ...changes });
  const [raw, setRaw] = useState(null);
  const said = (value) => value.trim() || undefined;
  const body =
    mode === "ics"
      ? { ics: ics.text, timezone: said(form.timezone), from: said(ics.from), until: said(ics.until) }
      : mode === "json" && raw !== null
        ? raw
        : writeCalendar(form);
  const name = calendar?.name ?? form.name.trim();
  const refused = refusal(error);
  const save = async (event) => {
    event.preventDefault();
    try {
      const saved = await put(path`/calendars/${name}`, body);
      draft.forget();
      say("Saved");
      done();
      setQuery({ name: saved.name, edit: null });
    } catch (problem) {
      setError(problem);
    }
  };
  const leave = () => {
    draft.forget();
    setQuery({ edit: null });
  };
  return html`<${Card} title=${calendar ? `Edit ${calendar.name}` : "New calendar"} aside=${html`<${Years} year=${year} />`}>
    <form class="stack" onSubmit=${save} noValidate>
      <div class="row" role="group" aria-label="How to write it">${MODES.map(
        ([key, label]) => html`<button key=${key} type="button" class="small"
        aria-pressed=${mode === key} onClick=${() => {
          setRaw(null);
          setMode(key);
        }}>${label}</button>`,
      )}</div>
      <div class="fields">
        ${
          !calendar &&
          html`<${TextField} path="name" label="Name" required value=${form.name} set=${(text) => change({ name: text })}
          wrong=${wrongAt(refused, "name")} />`
        }
        ${
          mode !== "json" &&
          html`<${TextField} path="timezone" label="Time zone" hint="in which its days begin" placeholder="UTC" value=${form.timezone}
          set=${(timezone) => change({ timezone })} wrong=${wrongAt(refused, "timezone")} />`
        }
      </div>
      ${
        mode === "fields" &&
        html`<${Fields} form=${form} change=${change} refused=${refused} /><p class="small dim">Or press the days:</p>
        <${Year} calendar=${writeCalendar(form)} year=${year} turn=${(date) => change({ days: turned(form.days, date) })} />`
      }
      ${mode === "json" && html`<${JsonField} path="calendar" label="As JSON" rows=${14} value=${raw ?? writeCalendar(form)} set=${setRaw} />`}
      ${mode === "ics" && html`<${Ics} ics=${ics} set=${setIcs} refused=${refused} />`}
      ${error && html`<div class="note bad" role="alert"><strong>${error.error}.</strong> ${error.message}</div>`}
      <${Elsewhere} cli=${mode === "fields" ? asCommand(name, form) : null} curl=${curlLine("PUT", path`/calendars/${name}`, body)} />
      <div class="row"><button class="primary" disabled=${!name || raw instanceof Unread || (mode === "ics" && !ics.text)}>Save</button><button type="button"
        onClick=${leave}>Leave</button></div>
    </form>
  <//>`;
}

function asCommand(name, form) {
  const { days, windows, weekdays, timezone } = writeCalendar(form);
  const words = days.flatMap((day) => ["--day", typeof day === "string" ? day : `${day.first}..${day.last}`]);
  if (windows.length) return commandLine("calendar", "put", name || "NAME", "--content", JSON.stringify(writeCalendar(form)));
  return commandLine(
    "calendar",
    "put",
    name || "NAME",
    ...words,
    ...weekdays.flatMap((day) => ["--weekday", day]),
    ...(timezone ? ["--timezone", timezone] : []),
  );
}

function Fields({ form, change, refused }) {
  const turn = (day) => change({ weekdays: form.weekdays.includes(day) ? form.weekdays.filter((one) => one !== day) : [...form.weekdays, day] });
  return html`<fieldset><legend>Weekdays</legend><div class="row">${WEEKDAYS.map(
    (day) => html`<label class="check" key=${day}><input type="checkbox"
    checked=${form.weekdays.includes(day)} onChange=${() => turn(day)} />${day}</label>`,
  )}</div></fieldset>
    <div class="fields">
      <${TextField} path="days" mono multiline=${6} label="Days" hint="one on each line: 2026-12-24, or a run: 2026-12-24 .. 2026-12-31" value=${form.days}
        set=${(days) => change({ days })} wrong=${wrongAt(refused, "days", { within: true }) ?? wrongAt(refused, "days")} />
      <${TextField} path="windows" mono multiline=${6} label="Windows" hint="one on each line: 2026-12-01T22:00 .. 2026-12-02T02:00, in the zone"
        value=${form.windows} set=${(windows) => change({ windows })} wrong=${wrongAt(refused, "windows", { within: true }) ?? wrongAt(refused, "windows")} />
    </div>`;
}

function Ics({ ics, set, refused }) {
  const change = (changes) => set({ ...ics, ...changes });
  const read = async (event) => {
    const [file] = event.target.files;
    if (file) change({ text: await file.text() });
  };
  return html`<div class="fields">
    <div class="field span"><label for="ics-file">A file</label><input id="ics-file" type="file" accept=".ics,text/calendar" onChange=${read} /></div>
    <${TextField} path="ics" wide mono multiline=${8} label="Its text" placeholder="BEGIN:VCALENDAR" value=${ics.text} set=${(text) => change({ text })}
      wrong=${wrongAt(refused, "ics")} />
    <${TextField} path="from" label="Recurring events from" placeholder="two years ago" hint="2026-01-01" value=${ics.from} set=${(from) => change({ from })}
      wrong=${wrongAt(refused, "from")} />
    <${TextField} path="until" label="Up to" placeholder="in ten years" value=${ics.until} set=${(until) => change({ until })}
      wrong=${wrongAt(refused, "until")} />
  </div>`;
}
