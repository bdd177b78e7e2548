// What states and outcomes there are, how each looks and what it means: never a colour without a sign and a word.

const LOOKS = {
  SCHEDULED: ["scheduled", "◷", "will run at its next time"],
  WAITING: ["waiting", "…", "is due, and waits for a slot, a limit, another task or its next try"],
  RUNNING: ["running", "▶", "runs now"],
  COMPLETED: ["completed", "✓", "ended well"],
  FAILED: ["failed", "✕", "ended with an error, and no try is left"],
  TIMED_OUT: ["failed", "⧗", "took longer than it may"],
  CRASHED: ["crashed", "!", "its process is gone in the middle of it"],
  CANCELLED: ["cancelled", "⊘", "was stopped by somebody"],
  PAUSED: ["cancelled", "‖", "fires nothing until it is activated"],
  fired: ["completed", "✓", "ran on time"],
  late: ["late", "◔", "ran, but late"],
  coalesced: ["skipped", "≡", "was folded into a later run"],
  skipped: ["skipped", "–", "did not run, for a reason"],
  missed: ["missed", "○", "did not run, because nobody could run it"],
};

/** {look, sign, about} of a state or an outcome; of an unknown one what says nothing wrong. */
export function looks(name) {
  const [look, sign, about] = LOOKS[name] ?? ["scheduled", "·", ""];
  return { look, sign, about };
}

/** What a time in the ledger is shown as: what its execution came to, or why there was none. */
export const shownOutcome = (row) => row.state ?? row.outcome;

export const STATUSES = ["SCHEDULED", "WAITING", "RUNNING", "COMPLETED", "FAILED", "CANCELLED", "CRASHED"];
export const OUTCOMES = ["fired", "late", "coalesced", "skipped", "missed"];

/** The word of a state as it is written: `Timed out`. */
export const word = (name) => (name ? name[0].toUpperCase() + name.slice(1).toLowerCase().replaceAll("_", " ") : "");
