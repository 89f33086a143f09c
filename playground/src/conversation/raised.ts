/** Code that ended with an exception, by what IPython prints of it. Pure. */

export interface Raised {
  /** What was printed before. */
  before: string;
  /** The exception's class. */
  name: string;
  traceback: string;
}

/** A line of dashes stands before the exception's name and the word; what code prints of what it caught has neither. */
const BEGIN = /-{20}\n[\p{L}_][\p{L}\p{N}_.]* +Traceback \(most recent call last\)$/mu;
const LINE = 75;
const HEAD = /^([\p{L}_][\p{L}\p{N}_.]*) +Traceback \(most recent call last\)$/gmu;
/** Code that cannot be read has no traceback. */
const UNREADABLE = /^ {2}(?:Cell In\[\d+\]|File .+), line \d+\n(?:.*\n){1,3}?(\w*(?:SyntaxError|IndentationError|TabError))\b/m;
const EXIT = /^An exception has occurred, use %tb to see the full traceback\.\n\n(SystemExit)\b/m;

/** Return the exception that ended the code which printed this, or null. */
export function raisedIn(logs: string): Raised | null {
  const begin = BEGIN.exec(logs);
  if (begin) {
    let at = begin.index;
    const first = at + 20 - LINE;
    while (at > 0 && at > first && logs[at - 1] === "-") at--;
    // Exceptions that were raised while others were handled come one after the other: the last is the one that ended it.
    const heads = [...logs.slice(at).matchAll(HEAD)];
    return cut(logs, at, heads.at(-1)![1]!);
  }
  const found = UNREADABLE.exec(logs) ?? EXIT.exec(logs);
  return found && cut(logs, found.index, found[1]!);
}

function cut(logs: string, at: number, name: string): Raised {
  return { before: logs.slice(0, at), name, traceback: logs.slice(at) };
}
