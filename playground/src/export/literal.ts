/** Values as literals of Python and JavaScript. Pure. */

export interface Dialect {
  none: string;
  yes: string;
  no: string;
  /** A key of a dictionary or object. */
  key: (name: string) => string;
  string: (text: string) => string;
}

const IDENTIFIER = /^[A-Za-z_$][\w$]*$/;
const WIDTH = 88;

/** JSON's escapes are Python's as well, but for characters beyond the first plane, which both write as they are. */
const quoted = (text: string) => JSON.stringify(text);

export const PYTHON: Dialect = { none: "None", yes: "True", no: "False", key: quoted, string: quoted };

export const JAVASCRIPT: Dialect = {
  none: "null",
  yes: "true",
  no: "false",
  // As a plain key this one would set the object's prototype.
  key: (name) => (name === "__proto__" ? '["__proto__"]' : IDENTIFIER.test(name) ? name : quoted(name)),
  string: quoted,
};

/** Write a value; what does not fit into a line is broken, behind `indent` spaces. */
export function literal(value: unknown, dialect: Dialect, indent = 0): string {
  if (value === null || value === undefined) return dialect.none;
  if (typeof value === "boolean") return value ? dialect.yes : dialect.no;
  if (typeof value === "number") return String(value);
  if (typeof value === "string") return dialect.string(value);
  const isList = Array.isArray(value);
  const inner = indent + (dialect === PYTHON ? 4 : 2);
  const parts = (at: number) =>
    isList
      ? value.map((item) => literal(item, dialect, at))
      : Object.entries(value).map(([name, item]) => `${dialect.key(name)}: ${literal(item, dialect, at)}`);
  const [open, close] = isList ? ["[", "]"] : ["{", "}"];
  const flat = parts(inner);
  if (!flat.length) return open + close;
  const space = dialect === JAVASCRIPT && !isList ? " " : "";
  const line = open + space + flat.join(", ") + space + close;
  if (line.length + indent <= WIDTH && !line.includes("\n")) return line;
  const pad = " ".repeat(inner);
  return `${open}\n${parts(inner).map((part) => `${pad}${part},\n`).join("")}${" ".repeat(indent)}${close}`;
}
