// A field of a filter that is typed: it stands in the address as soon as it is left, or at the return key.

import { html, useEffect, useState } from "../lib.js";
import { setQuery } from "../router.js";

/** name: of the parameter of the address. known: what is offered to complete it. grow: it takes the room there is. */
export function Typed({ name, label, hint, query, known, grow }) {
  const [text, setText] = useState(query[name] ?? "");
  useEffect(() => setText(query[name] ?? ""), [query[name]]);
  const find = () => text.trim() !== (query[name] ?? "") && setQuery({ [name]: text.trim(), offset: null });
  const pressed = (event) => event.key === "Enter" && find();
  return html`<div class=${`field ${grow ? "grow" : ""}`}><label for=${`find-${name}`}>${label}</label>
    <input id=${`find-${name}`} type="search" list=${known ? `known-${name}` : undefined} value=${text} placeholder=${hint} autocomplete="off"
      onInput=${(event) => setText(event.target.value)} onKeyDown=${pressed} onBlur=${find} onSearch=${find} />
    ${known && html`<datalist id=${`known-${name}`}>${known.map((one) => html`<option value=${one}></option>`)}</datalist>`}</div>`;
}
