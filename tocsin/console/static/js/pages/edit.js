// A new task, and one that is changed: the same form, checked by the node, with what it comes to beside it.

import { html, useState } from "../lib.js";
import { get, may, path, post, put } from "../api.js";
import { pretty } from "../format.js";
import { useLoaded } from "../load.js";
import { go, link } from "../router.js";
import { CopyButton, curlLine, Elsewhere } from "../parts/copy.js";
import { asCommand, asFile } from "../parts/definition.js";
import { useDraft } from "../parts/draft.js";
import { refusal } from "../parts/field.js";
import { unreadIn } from "../parts/form.js";
import { Card, Head, Loaded } from "../parts/page.js";
import { PoliciesForm } from "../parts/policies.js";
import { Beside, What } from "../parts/task_fields.js";
import { changesOf, emptyTask, readTask, writeTask } from "../parts/task_model.js";
import { say } from "../parts/toast.js";
import { Preview, TriggerEditor, usePreview } from "../parts/trigger.js";

/** How often a change is sent again when the task only ran meanwhile: more in a row is one that runs without a pause. */
const TRIES = 5;

/** What the form begins with: {types, task, form}; `task` is null for a new one. */
async function begin(id, query, signal) {
  const types = (await get("/types", {}, signal)).list.filter((type) => !type.name.startsWith("system."));
  const known = id ?? query.from;
  if (!known) return { types, task: null, form: emptyTask(query.type ?? "") };
  const [task, definition] = await Promise.all([get(path`/tasks/${known}`, {}, signal), get(path`/tasks/${known}/definition`, {}, signal)]);
  const form = readTask(definition, task);
  return id ? { types, task, form } : { types, task: null, form: { ...form, name: `${form.name} copy` } };
}

export function Page({ parts, query }) {
  const id = parts[0] === "new" ? null : parts[1];
  const [round, setRound] = useState(0);
  const loaded = useLoaded((signal) => begin(id, query, signal), [id, query.from, round]);
  const name = id ?? (query.from ? `new.${query.from}` : "new");
  if (!loaded.data) return html`<${Head} title=${id ? "Edit" : "New task"} /><${Loaded} of=${loaded}>${() => null}<//>`;
  return html`<${Editor} key=${`${name}.${round}.${loaded.data.task?.revision}`} id=${id} draft=${name} base=${loaded.data}
    anew=${() => setRound(round + 1)} />`;
}

/** Changed since it was read here: what the task is now. */
class Changed extends Error {
  constructor(now) {
    super("somebody changed it meanwhile");
    this.now = now;
  }
}

/** Send a change. That the task ran since is no conflict; that its definition is another one is. */
async function change(task, revision, body) {
  for (let tries = 0; ; tries += 1) {
    const now = await get(path`/tasks/${task.itemId}`);
    if (now.revision !== revision) throw new Changed(now);
    try {
      return await put(path`/tasks/${task.itemId}`, { ...body, version: now.version });
    } catch (error) {
      if (error.error !== "Changed meanwhile" || tries >= TRIES) throw error;
    }
  }
}

function Editor({ id, draft: name, base, anew }) {
  const { types, task } = base;
  const draft = useDraft(name, base.form);
  const form = draft.value;
  const [state, setState] = useState({ error: null, conflict: null, busy: false });
  const preview = usePreview(form.trigger, { task: id });
  const refused = refusal(state.error) ?? preview.refused;
  const edit = (changes) => draft.set({ ...form, ...changes });
  const body = task ? changesOf(base.form, form) : writeTask(form);
  const unread = unreadIn(form.parameters) ?? unreadIn(form.events);
  const idle = task !== null && Object.keys(body).length === 0;

  const save = async (revision = task?.revision) => {
    setState({ error: null, conflict: null, busy: true });
    try {
      const saved = task ? await change(task, revision, body) : await post("/tasks", body);
      draft.forget();
      say(task ? "Saved" : "Made");
      go(link("tasks", saved.itemId));
    } catch (error) {
      setState({ error: error instanceof Changed ? null : error, conflict: error.now ?? null, busy: false });
      if (!(error instanceof Changed)) requestAnimationFrame(() => document.querySelector("[aria-invalid=true]")?.focus());
    }
  };
  const submit = (event) => {
    event.preventDefault();
    if (!unread) save();
  };
  const startAgain = () => {
    draft.forget();
    anew();
  };
  return html`<${Head} title=${task ? `Edit ${task.name}` : "New task"}
    about=${task ? "What you do not change stays as it is." : "What to run, and when. Nothing is made before you say so."} />
    ${
      draft.kept &&
      html`<div class="note row spread"><span>This is what you wrote before.</span><button type="button" class="small"
      onClick=${startAgain}>Start again</button></div>`
    }
    <form class="stack task-form" onSubmit=${submit} noValidate>
      <${What} form=${form} change=${edit} types=${types} refused=${refused} fixed=${task !== null} />
      <${Card} title="When"><div class="when">
        <${TriggerEditor} form=${form.trigger} set=${(trigger) => edit({ trigger })} refused=${refused} />
        <section class="sunken" aria-label="Preview"><h3>Next times</h3><${Preview} preview=${preview} /></section>
      </div><//>
      <${Card} title="How" aside=${html`<span class="small dim">what you leave empty is the type's, else the default</span>`}>
        <${PoliciesForm} texts=${form.policies} set=${(policies) => edit({ policies })} refused=${refused} inherited=${task} /><//>
      <${Beside} form=${form} change=${edit} refused=${refused} />
      <${Same} task=${task} body=${body} form=${form} />
      ${
        state.conflict &&
        html`<${Conflict} task=${task} now=${state.conflict} body=${body} keep=${() => save(state.conflict.revision)}
        startAgain=${startAgain} />`
      }
      <div class="save-bar">
        ${state.error && html`<div class="note bad" role="alert"><strong>${state.error.error}.</strong> ${state.error.message}</div>`}
        <button class="primary" disabled=${!may("operator") || state.busy || idle || Boolean(unread)}
          title=${may("operator") ? undefined : "needs the role operator"}>${task ? "Save" : "Make the task"}</button>
        <a class="button" href=${task ? link("tasks", id) : link("tasks")}>Leave</a>
        <span class="small dim">${told(unread, task, body, draft)}</span>
      </div>
    </form>`;
}

/** What is to be known before one saves. */
function told(unread, task, body, draft) {
  if (unread) return `Not to be sent: ${unread.problem}`;
  const changed = Object.keys(body);
  if (task) return changed.length ? `Changes: ${changed.join(", ")}` : "Nothing is changed.";
  return draft.touched ? "Kept in this window until you make it." : "";
}

/** The same as a command, as a request, and as the text of a file. */
function Same({ task, body, form }) {
  const [shown, setShown] = useState(false);
  const file = asFile(writeTask(form));
  return html`<${Card} title="The same elsewhere">
    <${Elsewhere} cli=${asCommand(body, task?.name)} curl=${curlLine(task ? "PUT" : "POST", task ? path`/tasks/${task.itemId}` : "/tasks", body)} />
    <div class="stack"><div><button type="button" class="plain small" aria-expanded=${shown}
      onClick=${() => setShown(!shown)}>${shown ? "▾" : "▸"} As a file</button></div>
      ${
        shown &&
        html`<div class="row spread"><span class="small dim">For tocsin apply</span><${CopyButton}
        text=${file} /></div><pre class="command">${file}</pre>`
      }</div>
  <//>`;
}

/** What somebody else changed, beside what is changed here. */
function Conflict({ task, now, body, keep, startAgain }) {
  const fields = ["name", "taskType", "trigger", "parameters", "policies", "tags", "labels", "dependencies", "events", "placement", "extra"];
  const other = fields.filter((field) => JSON.stringify(task[field]) !== JSON.stringify(now[field]));
  const rows = [...new Set([...other, ...Object.keys(body)])];
  return html`<div class="note warn stack" role="alert">
    <p><strong>Changed meanwhile.</strong> ${now.changedBy ? `${now.changedBy} changed` : "Somebody changed"} the task since you opened it. Yours is kept here.</p>
    <div class="table-box"><table class="cards">
      <thead><tr><th scope="col">Field</th><th scope="col">As you opened it</th><th scope="col">Now</th><th scope="col">Yours</th></tr></thead>
      <tbody>${rows.map(
        (field) => html`<tr key=${field}><td class="lead" data-label="Field">${field}${other.includes(field) && field in body ? " ⚠" : ""}</td>
        <td data-label="As you opened it"><${Value} of=${task[field]} /></td><td data-label="Now"><${Value}
          of=${now[field]} /></td><td data-label="Yours">${
            field in body
              ? html`<${Value}
            of=${body[field]} />`
              : html`<span class="dim">as it is now</span>`
          }</td></tr>`,
      )}</tbody></table></div>
    <div class="row"><button type="button" class="primary" onClick=${keep}>Save mine over it</button><button type="button"
      onClick=${startAgain}>Start again from theirs</button></div>
  </div>`;
}

const Value = ({ of }) =>
  of === undefined || of === null ? html`<span class="dim">–</span>` : html`<pre class="diff-value">${typeof of === "string" ? of : pretty(of)}</pre>`;
