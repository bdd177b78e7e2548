// Why: what became of a time of a task, or what will, and because of what.

import { html, useState } from "../lib.js";
import { get, path } from "../api.js";
import { full, zone } from "../format.js";
import { useLoaded } from "../load.js";
import { setQuery } from "../router.js";
import { useStore } from "../store.js";
import { looks, word } from "../states.js";
import { commandLine, curlLine, Elsewhere } from "./copy.js";
import { fromField, toField } from "./moment.js";
import { Card, Problem } from "./page.js";
import { State } from "./state.js";

const VERDICTS = { open: "Open", future: "Will fire", paused: "Paused", not_nominal: "No time of it", fired: "Fired" };

const Verdict = ({ name }) => (looks(name).about ? html`<${State} name=${name} />` : html`<span class="chip warm">${VERDICTS[name] ?? word(name)}</span>`);

/** The card. at: the instant that is asked about, from the address; nothing: the last one. round: grows when it has to be asked again. */
export function Why({ task, name, at, round }) {
  useStore(zone);
  const why = useLoaded((signal) => get(path`/tasks/${task}/why`, { at }, signal), [task, at, round]);
  const [text, setText] = useState(null);
  const ask = (event) => {
    event.preventDefault();
    setQuery({ at: fromField(text ?? toField(at)) });
    setText(null);
  };
  const words = ["task", "why", name, ...(at ? [at] : [])];
  return html`<${Card} title="Why" aside=${html`<span class="small dim">${at ? full(at) : "of the last time"}</span>`}>
    <div class="stack">
      <form class="row" onSubmit=${ask}>
        <label for="why-at" class="small">At</label>
        <input id="why-at" class="moment" type="datetime-local" step="1" value=${text ?? toField(at)} onInput=${(event) => setText(event.target.value)} />
        <button class="small">Ask</button>
        ${at && html`<button type="button" class="small plain" onClick=${() => setQuery({ at: null })}>The last time</button>`}
      </form>
      ${why.error && html`<${Problem} error=${why.error} again=${why.again} />`}
      ${why.data && !why.error && html`<${Answer} answer=${why.data} />`}
      <${Elsewhere} cli=${commandLine(...words)} curl=${curlLine("GET", `${path`/tasks/${task}/why`}${at ? `?at=${encodeURIComponent(at)}` : ""}`)} />
    </div>
  <//>`;
}

function Answer({ answer }) {
  return html`<div class="stack" aria-live="polite">
    <div class="row"><${Verdict} name=${answer.verdict} />${answer.nominal && html`<span class="small dim">${full(answer.nominal, { fine: true })}</span>`}
      ${Object.entries(answer.nodes ?? {}).map(([node, verdict]) => html`<span key=${node} class="chip">${node}: ${word(verdict).toLowerCase()}</span>`)}</div>
    <ol class="chain">${answer.lines.map((line, at) => html`<li key=${at}>${line}</li>`)}</ol>
  </div>`;
}
