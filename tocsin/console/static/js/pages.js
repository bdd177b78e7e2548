// The pages there are. Each is read from the node when it is first looked at.
//
// path: its address after `/console`, `*` for any part. title, about: as the ways and the help say it. key: what leads to it. under: of a page that is reached
// from another one, which that is. load: gives the module, whose `Page` takes the parts of the address and the query.

export const PAGES = [
  { path: "now", title: "Now", key: "h", group: "Work", about: "what was, is and comes, on one axis", load: () => import("./pages/now.js") },
  { path: "tasks", title: "Tasks", key: "j", group: "Work", about: "all tasks, and what to do with them", load: () => import("./pages/tasks.js") },
  { path: "tasks/*", under: "tasks", title: "Task", load: () => import("./pages/task.js") },
  { path: "new", under: "tasks", title: "New task", load: () => import("./pages/edit.js") },
  { path: "tasks/*/edit", under: "tasks", title: "Edit", load: () => import("./pages/edit.js") },
  { path: "executions", title: "Executions", key: "x", group: "Work", about: "what ran and runs, over all tasks", load: () => import("./pages/executions.js") },
  { path: "executions/*", under: "executions", title: "Execution", load: () => import("./pages/execution.js") },
  { path: "queues", title: "Queues and limits", key: "q", group: "Work", about: "who waits for what", load: () => import("./pages/queues.js") },
  { path: "catch-up", title: "Catch-up", key: "u", group: "Work", about: "what is owed from a time without nodes", load: () => import("./pages/catchup.js") },
  { path: "load", title: "Load map", key: "m", group: "Work", about: "the next seven days by the minute", load: () => import("./pages/load.js") },
  { path: "nodes", title: "Nodes and partitions", key: "o", group: "Cluster", about: "who owns and runs what", load: () => import("./pages/nodes.js") },
  { path: "actors", title: "Actor tree", key: "a", group: "Cluster", about: "what a node is made of, and how it does", load: () => import("./pages/actors.js") },
  { path: "health", title: "Health", key: "l", group: "Cluster", about: "what is wrong, if anything", load: () => import("./pages/health.js") },
  { path: "calendars", title: "Calendars", key: "c", group: "Change", about: "days on which tasks do not run", load: () => import("./pages/calendars.js") },
  { path: "plan", title: "Plan and apply", key: "p", group: "Change", about: "definitions from a file, with the difference first", load: () => import("./pages/plan.js") },
  { path: "audit", title: "Audit", key: "d", group: "Change", about: "who changed what", load: () => import("./pages/audit.js") },
  { path: "access", title: "Access", key: "k", group: "Change", about: "tokens and who may what", load: () => import("./pages/access.js") },
];

/** The page under an address, by its parts; undefined if there is none. */
export function pageAt(parts) {
  const fits = (wanted) => wanted.length === parts.length && wanted.every((part, i) => part === "*" || part === parts[i]);
  return PAGES.find((page) => fits(page.path.split("/")));
}
