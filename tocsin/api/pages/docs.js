"use strict";

// Shows the OpenAPI document beside it. Text goes into the page as text, never as markup.

const METHODS = ["get", "post", "put", "delete"];
const $ = (id) => document.getElementById(id);

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== null));
  return element;
}

const code = (text) => make("code", {}, text);

class Shown {
  constructor(api) {
    this.api = api;
  }

  resolve(part) {
    if (!part.$ref) return part;
    return part.$ref.slice(2).split("/").reduce((found, key) => found[key], this.api);
  }

  // Operations by subject. A route of the seed stands with the operation that it is.
  operations() {
    const found = new Map();
    for (const [path, item] of Object.entries(this.api.paths)) {
      for (const method of METHODS.filter((name) => item[name])) {
        const operation = item[method];
        const known = found.get(operation["x-operation"]);
        if (known) known.also.push(path);
        else found.set(operation["x-operation"], { ...operation, method: method.toUpperCase(), path, also: [] });
      }
    }
    return [...found.values()];
  }

  // A schema in a few words.
  words(schema) {
    if (schema.$ref) return schema.$ref.split("/").pop();
    if (schema.const !== undefined) return JSON.stringify(schema.const);
    if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(" | ");
    const several = schema.oneOf || schema.anyOf;
    if (several) return [...new Set(several.map((one) => this.words(one)))].join(" | ");
    if (schema.type === "array") return `list of ${this.words(schema.items)}`;
    const name = [schema.type || "any JSON"].flat().join(" | ");
    return schema.format ? `${name} (${schema.format})` : name;
  }

  limits(schema) {
    const said = [];
    if (schema.minimum !== undefined && schema.maximum !== undefined) said.push(`${schema.minimum} to ${schema.maximum}`);
    else if (schema.minimum) said.push(`at least ${schema.minimum}`);
    if (schema.maxLength) said.push(`at most ${schema.maxLength} characters`);
    if (schema.maxItems) said.push(`at most ${schema.maxItems}`);
    if (schema.default !== undefined) said.push(`default ${JSON.stringify(schema.default)}`);
    if (schema.examples) said.push(`for example ${schema.examples.join(", ")}`);
    return said.join("; ");
  }

  // What a reader may unfold below a schema: fields, forms, entries. Filled when it is opened, for schemas may hold themselves.
  inside(schema) {
    const found = this.resolve(schema);
    if (found.properties) return [["fields", () => this.fields(found)]];
    const forms = (found.oneOf || found.anyOf || []).filter((one) => this.inside(one).length);
    if (forms.length) {
      return forms.flatMap((one, index) => {
        const name = one.description || (one.$ref ? this.words(one) : forms.length > 1 ? `form ${index + 1}` : "fields");
        return this.inside(one).map(([, body]) => [name, body]);
      });
    }
    if (found.type === "array") return this.inside(found.items).map(([name, body]) => [`of each: ${name}`, body]);
    if (typeof found.additionalProperties === "object") return this.inside(found.additionalProperties);
    return [];
  }

  unfolded(schema) {
    return this.inside(schema).map(([name, body]) => {
      const details = make("details", {}, make("summary", {}, name));
      details.addEventListener("toggle", () => details.children.length > 1 || details.append(body()), { once: true });
      return details;
    });
  }

  row(name, schema, needed, description) {
    const limits = this.limits(this.resolve(schema));
    return make("tr", {},
      make("td", {}, make("code", needed ? { class: "needed", title: "required" } : {}, name)),
      make("td", {},
        make("span", { class: "dim" }, this.words(schema), limits ? `; ${limits}` : ""),
        description ? make("div", {}, description) : null,
        ...this.unfolded(schema)));
  }

  fields(schema) {
    const needed = new Set(schema.required || []);
    const rows = Object.entries(schema.properties).map(([name, one]) =>
      this.row(name, one, needed.has(name), one.description || this.resolve(one).description));
    return make("table", {}, make("tbody", {}, ...rows));
  }

  parameters(operation) {
    if (!(operation.parameters || []).length) return [];
    const rows = operation.parameters.map((one) =>
      this.row(one.name, one.schema, one.required, `${one.description} (${one.in})`));
    return [make("h4", {}, "Parameters"), make("table", {}, make("tbody", {}, ...rows))];
  }

  body(operation) {
    if (!operation.requestBody) return [];
    const { schema } = operation.requestBody.content["application/json"];
    const optional = operation.requestBody.required ? "" : ", may be left out";
    return [make("h4", {}, `Body: ${this.words(schema)}${optional}`), ...this.unfolded(schema)];
  }

  responses(operation) {
    const rows = Object.entries(operation.responses).map(([status, response]) => {
      const [media, content] = Object.entries(this.resolve(response).content || {})[0] || ["", null];
      const said = content === null ? "nothing" : content.schema ? this.words(content.schema) : media;
      return make("tr", {},
        make("td", {}, code(status)),
        make("td", {}, make("span", { class: "dim" }, said), ...(content && content.schema ? this.unfolded(content.schema) : [])));
    });
    return [make("h4", {}, "Answers"), make("table", {}, make("tbody", {}, ...rows))];
  }

  curl(operation) {
    const url = new URL(operation.path, location.href).href.replaceAll("%7B", "{").replaceAll("%7D", "}");
    const parts = ["curl"];
    if (operation.method !== "GET") parts.push(`-X ${operation.method}`);
    if (operation["x-permission"] !== "none") parts.push('-H "Authorization: Bearer $TOCSIN_TOKEN"');
    if (operation.requestBody) parts.push("-H 'Content-Type: application/json' -d '{}'");
    return make("pre", {}, `${parts.join(" ")} '${url}'`);
  }

  article(operation) {
    const permission = operation["x-permission"];
    return make("article", { id: operation.operationId },
      make("h3", {},
        make("a", { href: `#${operation.operationId}` },
          make("span", { class: "method" }, operation.method), " ", code(operation.path))),
      make("p", {}, operation.summary),
      make("p", { class: "dim" },
        permission === "none" ? "Anybody may ask." : `Asks for the role ${permission}.`,
        operation.also.length ? " Also " : "", ...operation.also.map(code)),
      this.curl(operation), ...this.parameters(operation), ...this.body(operation), ...this.responses(operation));
  }
}

function group(operations) {
  const groups = new Map();
  for (const one of operations) {
    const tag = one.tags[0];
    groups.set(tag, [...(groups.get(tag) || []), one]);
  }
  return groups;
}

function show(shown, operations) {
  const sections = [], contents = [];
  for (const [tag, members] of group(operations)) {
    sections.push(make("section", {}, make("h2", {}, tag), ...members.map((one) => shown.article(one))));
    const links = members.map((one) =>
      make("li", {}, make("a", { href: `#${one.operationId}`, title: one.summary },
        make("span", { class: "method" }, one.method), " ", one.path.replace("/api", ""))));
    contents.push(make("h2", {}, tag), make("ul", {}, ...links));
  }
  $("operations").replaceChildren(...sections);
  $("contents").replaceChildren(...contents);
}

// Every word has to be in what is said about an operation, its fields included.
function matching(operations, wanted) {
  const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
  return operations.filter((one) => words.every((word) => one.text.includes(word)));
}

function textOf(shown, operation) {
  const names = [];
  const seen = new Set();
  const walk = (part) => {
    if (part === null || typeof part !== "object") return;
    if (part.$ref) {
      if (seen.has(part.$ref)) return;
      seen.add(part.$ref);
      walk(shown.resolve(part));
    } else {
      if (part.properties && !Array.isArray(part.properties)) names.push(...Object.keys(part.properties));
      Object.values(part).forEach(walk);
    }
  };
  walk([operation.requestBody, operation.responses, operation.parameters]);
  const parameters = (operation.parameters || []).map((one) => one.name);
  return [operation.method, operation.path, operation.operationId, operation.summary, ...parameters, ...names]
    .join(" ").toLowerCase();
}

function mark() {
  for (const link of $("contents").querySelectorAll("a")) {
    if (link.getAttribute("href") === location.hash) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
}

async function start() {
  const answer = await fetch("openapi.json");
  if (!answer.ok) throw new Error(`openapi.json: ${answer.status}`);
  const shown = new Shown(await answer.json());
  const operations = shown.operations();
  for (const one of operations) one.text = textOf(shown, one);
  $("version").textContent = shown.api.info.version;
  const search = $("search");
  const update = () => {
    const found = matching(operations, search.value);
    show(shown, found);
    $("found").textContent = search.value ? `${found.length} of ${operations.length}` : `${operations.length} operations`;
    const url = new URL(location.href);
    if (search.value) url.searchParams.set("q", search.value);
    else url.searchParams.delete("q");
    history.replaceState(null, "", url);
    mark();
  };
  search.value = new URL(location.href).searchParams.get("q") || "";
  search.addEventListener("input", update);
  addEventListener("hashchange", mark);
  addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== search) {
      event.preventDefault();
      search.focus();
    } else if (event.key === "Escape" && document.activeElement === search) {
      search.value = "";
      update();
    }
  });
  update();
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

start().catch((error) => { $("operations").textContent = `This page cannot be shown: ${error.message}`; });
