import { expect, test } from "vitest";

import { raisedIn } from "./raised";

const DASHES = "-".repeat(75);
const DIVISION = `${DASHES}
ZeroDivisionError                         Traceback (most recent call last)
Cell In[1], line 1
----> 1 1/0

ZeroDivisionError: division by zero
`;

test("a traceback that ended the code is found, behind what was printed before", () => {
  expect(raisedIn(DIVISION)).toEqual({ before: "", name: "ZeroDivisionError", traceback: DIVISION });
  expect(raisedIn(`hi${DIVISION}`)).toEqual({ before: "hi", name: "ZeroDivisionError", traceback: DIVISION });
  expect(raisedIn(`hi\n${DIVISION}\n[The code was interrupted: it printed without end.]\n`)?.name).toBe("ZeroDivisionError");
  expect(raisedIn(`${DASHES}\nÖops_1                                    Traceback (most recent call last)\n`)?.name).toBe("Öops_1");
});

test("of exceptions that led to one another the last is named, and all are shown", () => {
  const both = `${DIVISION}
During handling of the above exception, another exception occurred:

ValueError                                Traceback (most recent call last)
Cell In[1], line 4

ValueError: x
`;
  expect(raisedIn(`begin\n${both}`)).toEqual({ before: "begin\n", name: "ValueError", traceback: both });
});

test("code that cannot be read, and an exit, are found", () => {
  const syntax = "  Cell In[1], line 1\n    print(\n          ^\nSyntaxError: incomplete input\n\n";
  expect(raisedIn(syntax)).toEqual({ before: "", name: "SyntaxError", traceback: syntax });
  expect(raisedIn('  File "<string>", line 2\n    y=2\n    ^\nIndentationError: unexpected indent\n')?.name).toBe("IndentationError");
  expect(raisedIn("An exception has occurred, use %tb to see the full traceback.\n\nSystemExit: 3\n")?.name).toBe("SystemExit");
});

test("what code prints of an exception that it caught is no end", () => {
  const printed = 'Traceback (most recent call last):\n  File "<ipython>", line 2\nZeroDivisionError: division by zero\ngoing on\n';
  expect(raisedIn(printed)).toBeNull();
  expect(raisedIn("ValueError: 3 rows were skipped\n")).toBeNull();
  expect(raisedIn("")).toBeNull();
});
