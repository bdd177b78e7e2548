// What can be done: a button, the question before it, the request, and what came of it.

import { classes, html, useState } from "../lib.js";
import { ask, may } from "../api.js";
import { curlLine, Elsewhere } from "./copy.js";
import { Dialog } from "./dialog.js";
import { say } from "./toast.js";

/**
 * A button that asks the node for something. Nothing is done before the dialog is confirmed, and the dialog shows the same as a command
 * and as curl.
 *
 * method, where, body: the request; `body` may be a function of what was filled in. fields: what to fill in: {name, label, hint, required,
 * multiline, value, type, options}. about: what will happen. cli: the same as a command line, or a function of what was filled in. role: who may.
 * done: called with the answer. said: what to say then, a text or a function of the answer. danger: it cannot be undone. straight: no
 * question before it.
 */
export function Action(props) {
  const { label, role = "operator", whole = false, danger, primary, small, plain, disabled, why } = props;
  const [open, setOpen] = useState(false);
  const [busy, setBusy] = useState(false);
  const allowed = may(role, { whole });
  const title = allowed ? why : `needs the role ${role}${whole ? ", for all tenants" : ""}`;

  const carryOut = async (filled = {}) => {
    setBusy(true);
    try {
      const answer = await ask(props.method ?? "POST", props.where, { body: bodyOf(props, filled), query: props.query });
      const words = typeof props.said === "function" ? props.said(answer) : (props.said ?? `${label}: done`);
      if (words) say(words);
      setOpen(false);
      props.done?.(answer);
      return null;
    } catch (error) {
      if (props.straight) say(error.message, "bad");
      return error;
    } finally {
      setBusy(false);
    }
  };

  return html`<button type="button" class=${classes(danger && "danger", primary && "primary", small && "small", plain && "plain")}
      disabled=${!allowed || disabled || busy} title=${title} aria-haspopup=${props.straight ? undefined : "dialog"}
      onClick=${() => (props.straight ? carryOut() : setOpen(true))}>${label}</button>
    ${open && html`<${Question} ...${props} busy=${busy} carryOut=${carryOut} close=${() => setOpen(false)} />`}`;
}

const bodyOf = ({ body }, filled) => (typeof body === "function" ? body(filled) : body);

function Question(props) {
  const { label, title, about, fields = [], danger, busy, carryOut, close, cli } = props;
  const [filled, setFilled] = useState(Object.fromEntries(fields.map((field) => [field.name, field.value ?? ""])));
  const [error, setError] = useState(null);
  const send = async (event) => {
    event.preventDefault();
    setError(await carryOut(filled));
  };
  const words = typeof cli === "function" ? cli(filled) : cli;
  const curl = curlLine(props.method ?? "POST", props.where, bodyOf(props, filled));
  return html`<${Dialog} title=${title ?? label} close=${close}>
    <form onSubmit=${send}>
      ${about && html`<p>${about}</p>`}
      ${fields.map((field) => html`<${Entry} key=${field.name} field=${field} value=${filled[field.name]}
        set=${(value) => setFilled({ ...filled, [field.name]: value })} />`)}
      ${error && html`<div class="note bad" role="alert"><strong>${error.error ?? "Error"}.</strong> ${error.message}</div>`}
      <${Elsewhere} cli=${words} curl=${curl} />
      <div class="buttons">
        <button type="button" onClick=${close}>Leave it</button>
        <button class=${danger ? "danger" : "primary"} disabled=${busy}>${busy ? "…" : label}</button>
      </div>
    </form>
  <//>`;
}

/** One thing to fill in: {name, label, hint, required, multiline, type, options}. `wrong`: what is wrong with it. */
export function Entry({ field, value, set, wrong }) {
  const id = `entry-${field.name}`;
  const common = {
    id,
    value,
    required: field.required,
    placeholder: field.placeholder,
    "aria-describedby": wrong || field.hint ? `${id}-hint` : undefined,
    "aria-invalid": wrong ? "true" : undefined,
    onInput: (event) => set(event.target.value),
  };
  const input = field.options
    ? html`<select ...${common}>${field.options.map((one) => html`<option value=${one.value ?? one}>${one.label ?? one}</option>`)}</select>`
    : field.multiline
      ? html`<textarea ...${common}></textarea>`
      : html`<input type=${field.type ?? "text"} autocomplete="off" ...${common} />`;
  return html`<div class="field"><label for=${id}>${field.label}</label>${input}
    ${(wrong || field.hint) && html`<span id=${`${id}-hint`} class=${wrong ? "wrong" : "hint"}>${wrong || field.hint}</span>`}</div>`;
}
