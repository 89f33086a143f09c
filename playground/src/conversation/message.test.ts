import { expect, test } from "vitest";

import { titleOf } from "./message";

test("a title is a line of whole characters", () => {
  expect(titleOf("  two\n\nlines ")).toBe("two lines");
  expect(titleOf(`${"a".repeat(58)}${"😀".repeat(9)}`)).toBe(`${"a".repeat(58)}😀…`);
  expect(titleOf("😀".repeat(60))).toBe("😀".repeat(60));
});
