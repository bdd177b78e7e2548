// Definitions from files: what they would change, in fields and in fire times, before anything is changed.

import { html, useState } from "../lib.js";
import { get, may, post } from "../api.js";
import { full, many, pretty } from "../format.js";
import { link, setQuery } from "../router.js";
import { Action } from "../parts/action.js";
import { commandLine, curlLine, Elsewhere } from "../parts/copy.js";
import { useDraft } from "../parts/draft.js";
import { CheckField, TextField } from "../parts/field.js";
import { Card, Empty, Head } from "../parts/page.js";
import { say } from "../parts/toast.js";

const EXAMPLE = `tasks:
  - name: report
    taskType: command
    trigger: {cron: 30 2 * * mon-fri, timezone: Europe/Berlin}
    parameters: {argv: [echo, report]}
`;

/** Where another page of the console leaves the text of a file for this one. */
const HANDED_ON = "tocsin.plan";

function handedOn() {
  try {
    const text = sessionStorage.getItem(HANDED_ON);
    sessionStorage.removeItem(HANDED_ON);
    return text ? [{ name: "proposal.yaml", text }] : null;
  } catch {
    return null;
  }
}

const EMPTY = [{ name: "tasks.yaml", text: "" }];

export function Page({ query }) {
  const [given] = useState(handedOn);
  const draft = useDraft("plan", EMPTY);
  const [files, setFiles] = useState(given ?? draft.value);
  const [state, setState] = useState({ plan: null, error: null, busy: false });
  const write = (next) => {
    setFiles(next);
    draft.set(next);
    setState({ plan: null, error: null, busy: false });
  };
  const said = files.filter((file) => file.text.trim() !== "");
  const body = { files: said, ...(query.owner ? { owner: query.owner } : {}), ...(query.prune ? { prune: true } : {}) };
  const plan = async () => {
    setState((before) => ({ ...before, busy: true }));
    setState(
      await post("/plan", body).then(
        (found) => ({ plan: found, error: null, busy: false }),
        (error) => ({ plan: null, error, busy: false }),
      ),
    );
  };
  const submit = (event) => {
    event.preventDefault();
    plan();
  };
  const options = [...(query.owner ? ["--owner", query.owner] : []), ...(query.prune ? ["--prune"] : [])];
  const names = said.map((file) => file.name);
  return html`<${Head} title="Plan and apply" about="Tasks and calendars from files: first the difference, then the change." actions=${html`<${Export} />`} />
    <${Card} title="Files"><form class="stack" onSubmit=${submit}>
      <${Files} files=${files} set=${write} />
      <div class="fields">
        <${TextField} path="plan-owner" label="Owner" hint="a label for all of them; a task with another one is refused" value=${query.owner}
          set=${(owner) => {
            setState({ plan: null, error: null, busy: false });
            setQuery({ owner, prune: owner ? query.prune : null });
          }} />
        <${CheckField} path="plan-prune" label="Delete tasks of this owner that are not in the files" hint="with an owner only" value=${query.prune}
          set=${(prune) => {
            setState({ plan: null, error: null, busy: false });
            setQuery({ prune: prune && query.owner ? "1" : null });
          }} />
      </div>
      <div class="row"><button class="primary"
        disabled=${!said.length || state.busy}>${state.busy ? "…" : "Show the plan"}</button><span class="small dim">Nothing is changed yet.</span></div>
      ${said.length > 0 && html`<${Elsewhere} cli=${commandLine("diff", ...names, ...options)} curl=${curlLine("POST", "/plan", body)} />`}
    </form><//>
    ${state.error && html`<${Refused} error=${state.error} />`}
    ${
      state.plan &&
      html`<${Plan} plan=${state.plan} body=${body} cli=${commandLine("apply", ...names, ...options)}
      applied=${() => {
        draft.forget(files);
        plan();
      }} again=${plan} />`
    }
    ${
      !state.plan &&
      !state.error &&
      !said.length &&
      html`<${Card}><${Empty} title="Definitions can live beside your source." command="tocsin export --output tasks.yaml"
        action=${html`<button type="button" onClick=${() => write([{ name: "tasks.yaml", text: EXAMPLE }])}>Begin with an example</button>`}>
      Paste a file above, drop one, or download what there is and change it. On the command line:<//><//>`
    }`;
}

function Files({ files, set }) {
  const [over, setOver] = useState(false);
  const take = async (found) => {
    const read = await Promise.all([...found].map(async (file) => ({ name: file.name, text: await file.text() })));
    if (read.length) set([...files.filter((file) => file.text.trim() !== ""), ...read]);
  };
  const dropped = (event) => {
    event.preventDefault();
    setOver(false);
    take(event.dataTransfer.files);
  };
  const change = (at, changes) => set(files.map((file, i) => (i === at ? { ...file, ...changes } : file)));
  return html`<div class=${`stack drop ${over ? "over" : ""}`} onDragOver=${(event) => {
    event.preventDefault();
    setOver(true);
  }}
    onDragLeave=${() => setOver(false)} onDrop=${dropped}>
    ${files.map(
      (file, at) => html`<div class="stack" key=${at}><div class="row spread"><label class="small"
      for=${`file-${at}`}><strong>${file.name}</strong></label>
      ${
        files.length > 1 &&
        html`<button type="button" class="small plain" aria-label=${`Remove ${file.name}`}
        onClick=${() => set(files.filter((_, i) => i !== at))}>✕</button>`
      }</div>
      <textarea id=${`file-${at}`} rows="10" spellcheck=${false} placeholder=${EXAMPLE} value=${file.text}
        onInput=${(event) => change(at, { text: event.target.value })}></textarea></div>`,
    )}
    <div class="row small"><label for="plan-files">Or drop files here, or choose them:</label>
      <input id="plan-files" class="moment" type="file" multiple accept=".yaml,.yml,.json" onChange=${(event) => take(event.target.files)} /></div>
  </div>`;
}

/** All that is wrong with files, line by line. */
const Refused = ({ error }) => html`<div class="note bad stack" role="alert"><strong>${error.error}. Nothing was changed.</strong>
  <ul class="plain-list mono">${error.message.split("\n").map((line, at) => html`<li key=${at}>${line}</li>`)}</ul></div>`;

const SIGNS = { create: ["+", "made"], edit: ["~", "changed"], delete: ["−", "deleted"], pause: ["‖", "paused"], activate: ["▶", "activated"] };

function Plan({ plan, body, cli, applied, again }) {
  const [kinds, number] = [["create", "edit", "delete"], (kind) => plan.changes.filter((change) => change.actions.includes(kind)).length];
  const parts = kinds.map((kind) => `${number(kind)} to be ${SIGNS[kind][1]}`);
  const sum = `${parts.join(", ")}, ${plan.unchanged} unchanged${plan.calendars.length ? `; ${many(plan.calendars.length, "calendar")}` : ""}`;
  if (plan.empty)
    return html`<div class="note good" role="status"><strong>Nothing to change:</strong> ${many(plan.unchanged, "task")} as the files say.${" "}
      <button type="button" class="small" onClick=${again}>Look again</button></div>`;
  const apply = html`<${Action} primary label="Apply" title="Apply this plan" where="/apply" body=${{ ...body, digest: plan.digest }} cli=${cli}
    about=${`${sum}. If anything was changed since the plan was made, nothing is done.`} said="Applied" done=${applied} />`;
  return html`<${Card} title="Plan" aside=${apply}><div class="stack">
    <p role="status"><strong>${sum}.</strong></p>
    ${plan.calendars.map(
      (one) => html`<${Change} key=${`calendar ${one.name}`}
      change=${{ actions: [one.action], fields: one.fields, notes: [], file: one.file, line: one.line }}
        title=${html`calendar <strong>${one.name}</strong>`} />`,
    )}
    ${plan.changes.map(
      (one) => html`<${Change} key=${one.id ?? one.name} change=${one} fires=${one.fires}
      title=${html`${
        one.id && !one.actions.includes("create")
          ? html`<a
        href=${link("tasks", one.id)}><strong dir="auto">${one.name}</strong></a>`
          : html`<strong dir="auto">${one.name}</strong>`
      } <span class="dim">${one.taskType}</span>`} />`,
    )}
  </div><//>`;
}

/** Values up to so many characters stand on one line. */
const LINE = 80;

function short(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "string") return value;
  const text = JSON.stringify(value);
  return text.length > LINE ? pretty(value) : text;
}

function Change({ change, title, fires }) {
  const [first] = change.actions;
  return html`<div class=${`change change-${first}`}>
    <div class="row spread"><span class="anywhere"><span class="sign" aria-hidden="true">${SIGNS[first][0]}</span> ${title}${" "}
        <span class="chip">${change.actions.map((one) => SIGNS[one][1]).join(", ")}</span></span>
      ${change.file && html`<span class="tiny dim">${change.file}${change.line ? `:${change.line}` : ""}</span>`}</div>
    ${
      change.fields.length > 0 &&
      html`<dl class="facts">${change.fields.map(
        ({ field, before, after }) => html`<dt
      key=${field}><code>${field}</code></dt><dd>
        ${before !== null && html`<del><span class="for-readers">before </span>${short(before)}</del> <span aria-hidden="true">→</span> `}
        <ins><span class="for-readers">after </span>${short(after)}</ins></dd>`,
      )}</dl>`
    }
    ${change.notes.map((note) => html`<p class="small" key=${note}>${note}</p>`)}
    ${fires && html`<${FireTimes} fires=${fires} />`}
  </div>`;
}

/** Times of each kind that are shown before the others are only counted. */
const SHOWN = 6;

function Times({ sign, word, list, look }) {
  if (!list.length) return null;
  const rest = list.length - SHOWN;
  return html`<div class=${`small fires-${look}`}><span class="sign" aria-hidden="true">${sign}</span> <strong>${word}</strong>${" "}
    ${list.slice(0, SHOWN).join(", ")}${rest > 0 ? `, and ${rest} more` : ""}</div>`;
}

function FireTimes({ fires }) {
  const none = !fires.appear.length && !fires.disappear.length && !fires.moved.length;
  return html`<div class="stack fire-diff" aria-label="Fire times">
    <${Times} sign="+" word="appear:" look="appear" list=${fires.appear.map((one) => full(one))} />
    <${Times} sign="−" word="disappear:" look="disappear" list=${fires.disappear.map((one) => full(one))} />
    <${Times} sign="→" word="move:" look="move" list=${fires.moved.map(({ from, to }) => `${full(from)} to ${full(to)}`)} />
    <div class="tiny dim">
      ${none ? "Its next times stay as they are." : fires.kept ? `${many(fires.kept, "time")} ${fires.kept === 1 ? "stays" : "stay"}.` : ""}
      ${fires.through ? ` Compared up to ${full(fires.through)}.` : ""}</div>
  </div>`;
}

function Export() {
  const [busy, setBusy] = useState(false);
  const download = async (format) => {
    setBusy(true);
    try {
      const { text, tasks, leftOut } = await get("/export", { format });
      const url = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
      const anchor = Object.assign(document.createElement("a"), { href: url, download: `tocsin.${format}` });
      anchor.click();
      setTimeout(() => URL.revokeObjectURL(url), 10_000);
      say(`${many(tasks, "task")} exported${leftOut.length ? `; ${many(leftOut.length, "task")} that have ended left out` : ""}`);
    } catch (error) {
      say(error.message, "bad");
    } finally {
      setBusy(false);
    }
  };
  return html`<button type="button" disabled=${busy || !may("viewer")} onClick=${() => download("yaml")}>Export as YAML</button><button type="button"
    disabled=${busy || !may("viewer")} onClick=${() => download("json")}>as JSON</button>`;
}
