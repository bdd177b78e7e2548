// Questions that have to be answered first.

import { html, useEffect, useRef } from "../lib.js";

/** A dialog that is open as long as it is there. `close` is called when it is left by key or by its own button. */
export function Dialog({ title, close, children, wide }) {
  const element = useRef(null);
  useEffect(() => {
    const dialog = element.current;
    dialog.showModal();
    return () => dialog.close();
  }, []);
  const left = (event) => {
    event.preventDefault();
    close();
  };
  return html`<dialog ref=${element} class=${wide ? "wide" : ""} aria-labelledby="dialog-title" onCancel=${left}>
    <div class="body">
      <div class="row spread"><h2 id="dialog-title">${title}</h2>
        <button type="button" class="plain small" aria-label="Close" onClick=${close}>✕</button></div>
      ${children}
    </div>
  </dialog>`;
}
