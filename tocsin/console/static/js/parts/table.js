// Tables: sorted by the address, turned page by page, stacked as cards where there is no room.

import { classes, html } from "../lib.js";
import { count, many } from "../format.js";
import { setQuery } from "../router.js";

/**
 * Rows under headings. columns: {label, cell(row), sort: name of the field, number, fit, lead: the name of the row}. sortBy: as in the address,
 * `name:asc`. chosen: a set of keys, choose(key) and chooseAll(are all chosen) turn them; without `choose` there are no boxes. rowName(row): what
 * the box of a row is called.
 */
export function Table({ columns, rows, rowKey, rowName, sortBy, chosen, choose, chooseAll, caption }) {
  const all = chosen && rows.length > 0 && rows.every((row) => chosen.has(rowKey(row)));
  return html`<div class="table-box"><table class="cards">
    <caption class="for-readers">${caption}</caption>
    <thead><tr>
      ${choose && html`<th class="fit"><input type="checkbox" aria-label="All of this page" checked=${all} onChange=${() => chooseAll(all)} /></th>`}
      ${columns.map((column) => html`<${Heading} key=${column.label} column=${column} sortBy=${sortBy} />`)}
    </tr></thead>
    <tbody>${rows.map((row) => {
      const key = rowKey(row);
      return html`<tr key=${key} class=${chosen?.has(key) ? "chosen" : ""}>
        ${choose && html`<td class="fit" data-label="Choose"><input type="checkbox" aria-label=${`Choose ${rowName?.(row) ?? ""}`} checked=${chosen.has(key)} onChange=${() => choose(key)} /></td>`}
        ${columns.map(
          (column) => html`<td data-label=${column.label} class=${classes(column.number && "number", column.fit && "fit", column.lead && "lead")}>${column.cell(row)}</td>`,
        )}
      </tr>`;
    })}</tbody>
  </table></div>`;
}

function Heading({ column, sortBy }) {
  const [field, order = "asc"] = (sortBy ?? "").split(":");
  const here = column.sort && field === column.sort;
  const sorted = here ? (order === "desc" ? "descending" : "ascending") : undefined;
  const next = here && order === "asc" ? `${column.sort}:desc` : `${column.sort}:asc`;
  return html`<th scope="col" class=${classes(column.number && "number", column.fit && "fit")} aria-sort=${sorted}>
    ${column.sort
      ? html`<button type="button" onClick=${() => setQuery({ sortBy: next, offset: null })}>${column.label}${here ? (order === "desc" ? " ▾" : " ▴") : ""}</button>`
      : column.label}
  </th>`;
}

/** The way through a list of `total` rows, `size` of them a page; where one is stands in the address as `offset`. */
export function Pager({ offset, size, total, word = "rows" }) {
  if (total <= size && offset === 0) return html`<div class="pager">${many(total, word.replace(/s$/, ""))}</div>`;
  const last = Math.min(offset + size, total);
  const to = (where) => () => setQuery({ offset: where > 0 ? where : null }, { replace: false });
  return html`<nav class="pager" aria-label="Pages">
    <button class="small" disabled=${offset === 0} onClick=${to(0)} aria-label="First page">«</button>
    <button class="small" disabled=${offset === 0} onClick=${to(offset - size)} aria-label="Page before">‹</button>
    <span>${count(Math.min(offset + 1, total))}–${count(last)} of ${count(total)} ${word}</span>
    <button class="small" disabled=${last >= total} onClick=${to(offset + size)} aria-label="Next page">›</button>
    <button class="small" disabled=${last >= total} onClick=${to(Math.floor((total - 1) / size) * size)} aria-label="Last page">»</button>
  </nav>`;
}
