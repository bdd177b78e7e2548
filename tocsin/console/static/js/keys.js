// One key for each page and for what is needed everywhere. No key does anything while one writes.

const keys = new Map();

/** Let a key do something, until what is given back is called. */
export function onKey(key, run) {
  keys.set(key, run);
  return () => keys.get(key) === run && keys.delete(key);
}

export function startKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const writing = event.target.closest?.("input, textarea, select, [contenteditable]");
    if (writing) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (document.querySelector("dialog[open]")) return;
    const run = keys.get(event.key);
    if (!run) return;
    event.preventDefault();
    run();
  });
}
