// Tokens: who has one, what it may, how long. A new one is shown once.

import { html, useState } from "../lib.js";
import { get, path, session } from "../api.js";
import { useLoaded } from "../load.js";
import { Action } from "../parts/action.js";
import { CopyButton, commandLine } from "../parts/copy.js";
import { Card, Empty, Facts, Head, Loaded } from "../parts/page.js";
import { Table } from "../parts/table.js";
import { When } from "../parts/time.js";

const ROLES = [
  ["viewer", "sees tasks, executions and nodes"],
  ["operator", "also makes, changes, runs and cancels tasks"],
  ["administrator", "also drains nodes, purges, makes tokens, reads the audit log; the only one who may make tasks of commands"],
  ["worker", "takes jobs from the queue and reports on them, nothing else"],
];

const FIELDS = [
  { name: "name", label: "Name", required: true, hint: "What it is for: it stands in the audit log." },
  { name: "role", label: "Role", options: ROLES.map(([name]) => name), value: "viewer" },
  { name: "user", label: "User", hint: "Who acts with it; the name if left empty." },
  { name: "tenant", label: "Tenant", hint: "It sees that tenant alone; all tenants if left empty." },
  { name: "own", label: "Sees", options: [{ value: "", label: "all tasks of its tenant" }, { value: "yes", label: "the user's own tasks only" }] },
  { name: "expiresIn", label: "Expires in", placeholder: "30d", hint: "Such as 12h, 30d, 1w; never if left empty." },
];

const bodyOf = ({ name, role, user, tenant, own, expiresIn }) => ({
  name: name.trim(),
  role,
  ...(user && { user: user.trim() }),
  ...(tenant && { tenant: tenant.trim() }),
  ...(own && { own: true }),
  ...(expiresIn && { expiresIn: expiresIn.trim() }),
});

const cliOf = (filled) => {
  const body = bodyOf(filled);
  const more = [["user", "--user"], ["tenant", "--tenant"], ["expiresIn", "--expires"]].flatMap(([name, flag]) => (body[name] ? [flag, body[name]] : []));
  return commandLine("token", "add", body.name || "NAME", "--role", body.role, ...more, ...(body.own ? ["--own"] : []));
};

const columns = (again) => [
  { label: "Name", lead: true, cell: (row) => html`<span class="name">${row.name}</span><div class="tiny dim mono">${row.id}</div>` },
  { label: "User", cell: (row) => row.user },
  { label: "Role", fit: true, cell: (row) => html`<span class="chip">${row.role}</span>` },
  { label: "Tenant", cell: (row) => html`${row.tenant ?? html`<span class="dim">all</span>`}${row.own && html` <span class="chip">own tasks</span>`}` },
  { label: "Made", fit: true, cell: (row) => html`<${When} at=${row.createdAt} />` },
  { label: "Last used", fit: true, cell: (row) => html`<${When} at=${row.lastUsedAt} />` },
  { label: "Expires", fit: true, cell: (row) => (row.expiresAt ? html`<${When} at=${row.expiresAt} />` : html`<span class="dim">never</span>`) },
  { label: "State", fit: true, cell: (row) => (row.revokedAt ? html`<span class="chip">revoked</span>` : html`<span class="chip warm">valid</span>`) },
  { label: "", fit: true, cell: (row) => !row.revokedAt && html`<${Action} small danger role="administrator" label="Revoke" title=${`Revoke ${row.name}`} method="DELETE" where=${path`/tokens/${row.id}`}
      about="Whoever uses it is refused at once, on every node; sessions begun with it end too." cli=${commandLine("token", "revoke", row.id)} said="Revoked" done=${again} />` },
];

export function Page() {
  const tokens = useLoaded((signal) => get("/tokens", {}, signal), []);
  const [made, setMade] = useState(null);
  const add = html`<${Action} primary role="administrator" label="New token" where="/tokens" fields=${FIELDS} body=${bodyOf} cli=${cliOf} said=""
    about="It is shown once, when it is made: the node keeps only a hash of it." done=${(answer) => {
      setMade(answer);
      tokens.again();
    }} />`;
  return html`
    <${Head} title="Access" about="Who may what. Every token has a role, and belongs to one tenant or to all." actions=${add} />
    ${made && html`<${Made} token=${made} close=${() => setMade(null)} />`}
    <${Loaded} of=${tokens}>${(found) => html`<${Card} flush name="Tokens">
      ${found.list.length === 0
        ? html`<${Empty} title="Only the token of the data directory." command="tocsin token add grafana --role viewer --expires 90d">Give each program and each person one of their own, with the least role that does:<//>`
        : html`<${Table} caption="Tokens" columns=${columns(tokens.again)} rows=${found.list} rowKey=${(row) => row.id} />`}
    <//>`}<//>
    <div class="columns">
      <${Card} title="Roles"><${Facts} rows=${ROLES} /><//>
      <${Card} title="You"><${Facts} rows=${you()} /><//>
    </div>`;
}

function you() {
  const known = session.get();
  return [
    ["User", known.user],
    ["Role", known.role],
    ["Tenant", known.tenant ?? "all"],
    ["Sees", known.own ? "own tasks only" : "all tasks of it"],
  ];
}

function Made({ token, close }) {
  return html`<div class="note good" role="status">
    <div class="row spread"><strong>The token ${token.name}, shown this once:</strong><button class="plain small" aria-label="Put away" onClick=${close}>✕</button></div>
    <div class="row"><code class="anywhere">${token.token}</code><${CopyButton} text=${token.token} /></div>
  </div>`;
}
