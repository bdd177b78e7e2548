// The editor of a trigger: what it is, its bounds, its calendars, and what it comes to while one writes.

import { html, useEffect, useState } from "../lib.js";
import { get, post } from "../api.js";
import { useLoaded } from "../load.js";
import { CheckField, ChoiceField, refusal, TextField, wrongAt } from "./field.js";
import { ClockChanges, Fires } from "./fires.js";
import { emptyMember, FORMS, formOf, isStarted, ownZone, writeTrigger, zoneOf } from "./trigger_model.js";

/** Milliseconds without a key before the node is asked: one question for a word, not one for each letter. */
const PAUSE = 300;

const FIELDS = {
  at: { label: "Time of day", hint: "09:30; midnight if not said", placeholder: "00:00" },
  anchor: { label: "Counted from", hint: "a time or a day of the series; its start, or now", placeholder: "now" },
  weekday: { label: "Weekday", options: ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], none: "that of the start" },
  day: { label: "Day of the month", hint: "1 to 31, or last", placeholder: "that of the start" },
  month: { label: "Month", hint: "1 to 12", placeholder: "that of the start" },
  missing: { label: "In a month without the day", options: ["skip", "last_day"], none: "default: skip" },
  gap: {
    label: "A time that the clock leaves out",
    hint: "in spring, when clocks go forward",
    options: [
      { value: "shift", label: "runs when the gap ends" },
      { value: "skip", label: "does not run" },
    ],
    none: "default",
  },
  fold: {
    label: "A time that comes twice",
    hint: "in autumn, when clocks go back",
    options: [
      { value: "first", label: "runs the first time" },
      { value: "last", label: "runs the second time" },
      { value: "both", label: "runs both times" },
    ],
    none: "default",
  },
  timezone: { label: "Time zone", hint: "the zone of its times; UTC if not said", placeholder: "UTC", list: "zones" },
  fixedDelay: { label: "Counted from the end of the run before", check: true },
};

const zones = () => (Intl.supportedValuesOf ? ["UTC", ...Intl.supportedValuesOf("timeZone")] : ["UTC", ownZone()]);

/** The names of zones, once for all fields of a page. */
const Zones = () => html`<datalist id="zones">${zones().map((name) => html`<option value=${name} />`)}</datalist>`;

function Beside({ name, member, change, path, refused }) {
  const { check, ...about } = FIELDS[name];
  const common = {
    ...about,
    path: `${path}.${name}`,
    value: member[name],
    set: (value) => change({ [name]: value }),
    wrong: wrongAt(refused, `${path}.${name}`),
  };
  if (check) return html`<${CheckField} ...${common} />`;
  return about.options ? html`<${ChoiceField} ...${common} />` : html`<${TextField} ...${common} />`;
}

function Member({ member, set, drop, path, refused, at }) {
  const form = formOf(member.form);
  const change = (changes) => set({ ...member, ...changes });
  const rare = form.fields.filter((name) => ["gap", "fold", "anchor", "fixedDelay"].includes(name));
  return html`<div class="trigger-member" role="group" aria-label=${`Trigger ${at + 1}`}>
    <div class="fields">
      <${ChoiceField} path=${`${path}.form`} label="Kind" value=${member.form}
        set=${(key) => set({ ...emptyMember(key), timezone: member.timezone ?? "", value: "" })}
        options=${FORMS.map(({ key, label }) => ({ value: key, label }))} />
      <${TextField} path=${`${path}.${form.key}`} label=${form.label} hint=${form.hint} placeholder=${form.example} mono value=${member.value}
        set=${(value) => change({ value })} wrong=${wrongAt(refused, `${path}.${form.key}`) ?? wrongAt(refused, path)} required />
      ${form.fields
        .filter((name) => !rare.includes(name))
        .map(
          (name) => html`<${Beside} key=${name} name=${name} member=${member} change=${change} path=${path}
        refused=${refused} />`,
        )}
    </div>
    ${
      rare.length > 0 &&
      html`<details open=${rare.some((name) => member[name])}><summary>Clock changes and counting</summary>
      <div class="fields">${rare.map(
        (name) => html`<${Beside} key=${name} name=${name} member=${member} change=${change} path=${path}
        refused=${refused} />`,
      )}</div></details>`
    }
    ${drop && html`<div><button type="button" class="small" onClick=${drop}>Remove this one</button></div>`}
  </div>`;
}

function Calendars({ rules, set, refused }) {
  const calendars = useLoaded((signal) => get("/calendars", {}, signal), []);
  const known = (calendars.data?.list ?? []).map((one) => one.name);
  const change = (at, changes) => set(rules.map((rule, i) => (i === at ? { ...rule, ...changes } : rule)));
  const path = (at, name) => `trigger.calendars[${at}].${name}`;
  return html`<div class="stack"><span class="label small"><strong>Calendars</strong></span>
    ${rules.map(
      (rule, at) => html`<div class="fields" key=${at}>
      <${ChoiceField} path=${path(at, "mode")} label="Run" value=${rule.mode ?? "exclude"} set=${(mode) => change(at, { mode })}
        options=${[
          { value: "exclude", label: "not on the days of" },
          { value: "include", label: "only on the days of" },
        ]} />
      <${ChoiceField} path=${path(at, "calendar")} label="Calendar" value=${rule.calendar} set=${(calendar) => change(at, { calendar })} none="choose"
        options=${[...new Set([...known, rule.calendar].filter(Boolean))]} wrong=${wrongAt(refused, path(at, "calendar"))} />
      <${ChoiceField} path=${path(at, "shift")} label="What may not run" value=${rule.shift ?? "skip"} set=${(shift) => change(at, { shift })}
        options=${[
          { value: "skip", label: "is left out" },
          { value: "next", label: "runs on the next day that may" },
          { value: "previous", label: "runs on the day before that may" },
        ]} />
      <div class="field"><span class="label"> </span><button type="button" class="small"
        onClick=${() => set(rules.filter((_, i) => i !== at))}>Remove</button></div>
    </div>`,
    )}
    <div class="row"><button type="button" class="small" disabled=${!known.length}
      onClick=${() => set([...rules, { calendar: known[0], mode: "exclude", shift: "skip" }])}>Add a calendar</button>
      ${calendars.data && !known.length && html`<span class="small dim">There is none yet: Calendars, in the side, makes one.</span>`}</div>
  </div>`;
}

/** The editor. `form` and `set` as in `trigger_model.js`; `refused`: what the node said of what was sent. */
export function TriggerEditor({ form, set, refused }) {
  const change = (changes) => set({ ...form, ...changes });
  const several = form.members.length > 1;
  const setMember = (at) => (member) => change({ members: form.members.map((one, i) => (i === at ? member : one)) });
  const bound = (name, label, hint, placeholder) => html`<${TextField} path=${`trigger.${name}`} label=${label} hint=${hint} placeholder=${placeholder}
    value=${form[name]}
    set=${(text) => change({ [name]: text })} wrong=${wrongAt(refused, `trigger.${name}`)} />`;
  const bounded =
    form.start ||
    form.end ||
    form.maxRuns ||
    form.spread ||
    form.calendars.length ||
    /^trigger\.(start|end|maxRuns|spread|calendars)/.test(refused?.path ?? "");
  return html`<div class="stack"><${Zones} />
    ${form.members.map(
      (member, at) => html`<${Member} key=${at} at=${at} member=${member} set=${setMember(at)} refused=${refused}
      path=${several ? `trigger.any[${at}]` : "trigger"}
      drop=${several ? () => change({ members: form.members.filter((_, i) => i !== at) }) : null} />`,
    )}
    <div><button type="button" class="small" onClick=${() => change({ members: [...form.members, emptyMember()] })}>Or at other times too</button></div>
    <details open=${Boolean(bounded)}><summary>Start, end, limit, window, calendars</summary><div class="stack">
      <div class="fields">
        ${bound("start", "Not before", "a time, or so long from now: 2w", "now")}
        ${bound("end", "Not after", "a time, or so long from now", "no end")}
        ${bound("maxRuns", "Runs at most", "then it is finished", "no limit")}
        ${bound("spread", "Window", "each task has its own place in so long a window: 10m", "none")}
      </div>
      <${Calendars} rules=${form.calendars} set=${(calendars) => change({ calendars })} refused=${refused} />
    </div></details>
  </div>`;
}

/** What a trigger comes to: {data, error, asking}; asked a moment after the last change. `task`: whose place in the window counts. */
export function usePreview(form, { task, count = 10 } = {}) {
  const [state, setState] = useState({ data: null, error: null, asking: false });
  const text = isStarted(form) ? JSON.stringify(writeTrigger(form)) : null;
  useEffect(() => {
    if (text === null) {
      setState({ data: null, error: null, asking: false });
      return undefined;
    }
    let old = false;
    setState((before) => ({ ...before, asking: true }));
    const timer = setTimeout(async () => {
      const found = await post("/triggers/preview", { trigger: JSON.parse(text), count, ...(task ? { task } : {}) }).then(
        (data) => ({ data, error: null }),
        (error) => ({ data: null, error }),
      );
      if (!old) setState({ ...found, asking: false });
    }, PAUSE);
    return () => {
      old = true;
      clearTimeout(timer);
    };
  }, [text, task, count]);
  return { ...state, refused: refusal(state.error) };
}

/** The next times of what one writes. */
export function Preview({ preview }) {
  const { data, error, refused, asking } = preview;
  if (error) return html`<div class="note bad" role="alert"><strong>${refused.path || error.error}.</strong> ${refused.text}</div>`;
  if (!data) return html`<p class="dim" role="status">${asking ? "Asking …" : "Say when, and the next times appear here."}</p>`;
  return html`<div class="stack" aria-busy=${asking} aria-live="polite">
    <p class="trigger-words">${data.trigger}</p>
    <${Fires} fires=${data.fires} timezone=${zoneOf(data.parsed)} />
    <${ClockChanges} changes=${data.clockChanges} />
  </div>`;
}
