// @vitest-environment jsdom
import { renderToStaticMarkup } from "react-dom/server";
import { expect, test } from "vitest";

import { blocksOf, openCode, settledLength } from "./blocks";
import { placeMarkers } from "./citations";
import { Markdown, withDollars } from "./Markdown";

const html = (text: string, isLive = false) => renderToStaticMarkup(<Markdown text={text} isLive={isLive} />);

function parsed(text: string): Document {
  return new DOMParser().parseFromString(html(text), "text/html");
}

const HOSTILE = [
  "<script>alert(1)</script>",
  "<img src=x onerror=alert(1)>",
  "<svg onload=alert(1)>",
  "<iframe src=javascript:alert(1)></iframe>",
  "<a href=javascript:alert(1)>x</a>",
  "<style>*{display:none}</style>",
  "<form action=//evil><button>x</button></form>",
  "[x](javascript:alert(1))",
  "[x](JAVASCRIPT:alert(1))",
  "[x](java\nscript:alert(1))",
  "[x](data:text/html;base64,PHNjcmlwdD4=)",
  "[x](&#106;avascript:alert(1))",
  "![x](https://evil.example/p.png)",
  "[x][r]\n\n[r]: javascript:alert(1)",
  "<javascript:alert(1)>",
  "$$\\href{javascript:alert(1)}{x}$$",
  "$$\\htmlStyle{background:url(//evil)}{x}$$",
  "$$\\def\\x{\\x\\x}\\x$$",
  '```"><script>alert(1)</script>\nx\n```',
  "| <script>alert(1)</script> |\n|---|\n| <img src=x onerror=alert(1)> |",
];

for (const text of HOSTILE) {
  test(`stays text: ${JSON.stringify(text)}`, () => {
    const page = parsed(text);
    expect(page.querySelectorAll("script, img, iframe, style, form, object, embed, base, link, meta")).toHaveLength(0);
    for (const element of page.querySelectorAll("*")) {
      for (const { name, value } of element.attributes) {
        expect(name).not.toMatch(/^on/);
        if (name === "href") expect(value).toMatch(/^(https?:|mailto:)/);
        else if (!name.startsWith("xmlns")) expect(value).not.toMatch(/javascript:|evil/);
      }
    }
    if (text.startsWith("<") && !text.startsWith("<java")) expect(page.body.textContent).toContain(text);
  });
}

test("Markdown is Markdown", () => {
  const page = parsed("# One\n\n**two** `three`\n\n```python\nx = 1\n```\n\n| a |\n|---|\n| b |\n\n$$x^2$$");
  expect(page.querySelector("h1")?.textContent).toBe("One");
  expect(page.querySelector("strong")?.textContent).toBe("two");
  expect(page.querySelector("pre .hljs-number")?.textContent).toBe("1");
  expect(page.querySelector("td")?.textContent).toBe("b");
  expect(page.querySelector(".katex")).not.toBeNull();
});

test("money is no maths, and code keeps its brackets", () => {
  expect(html("It costs $5, or $6.")).toContain("$5, or $6.");
  expect(withDollars("a \\(x\\) `\\(y\\)`\n```\n\\[z\\]\n```")).toBe("a $$x$$ `\\(y\\)`\n```\n\\[z\\]\n```");
});

test("citations stand where their markers do, whatever is in a file's name", () => {
  const name = "【0:1†*a*_b_<i>.md】";
  const text = `😀 so ${name} it is.`;
  const marker = { text: name, start_index: 5, end_index: 5 + Array.from(name).length };
  const shown = renderToStaticMarkup(
    <Markdown text={text} markers={[marker]} renderMarker={(n) => <b>cite {n}</b>} />,
  );
  expect(shown).toContain("😀 so <b>cite 0</b> it is.");
});

test("a marker can be neither forged nor misplaced", () => {
  expect(placeMarkers("a \ue000 b", [])).toBe("a \ufffd b");
  expect(placeMarkers("abc", [{ text: "x", start_index: 0, end_index: 1 }])).toBe("abc");
});

test("blocks are cut where nothing of them goes on", () => {
  const text = "one\n\n```\ncode\n\nmore\n```\n\n- a\n\n- b\n\n  c\n\nend\n\n$$\nx\n\ny\n$$\n\nlast";
  const blocks = blocksOf(text);
  expect(blocks.join("\n")).toBe(text);
  expect(blocks.map((block) => block.trim().split("\n")[0])).toEqual(["one", "```", "end", "$$", "last"]);
});

test("what is written block by block looks as it does in the end", () => {
  const text = "# A\n\nb **c**\n\n```js\nlet x;\n\nx = 1\n```\n\ntext";
  expect(html(text, true).replaceAll("\n", "")).toBe(html(text).replaceAll("\n", ""));
});

const PROGRAM = "def f(x):\n    return x + 1  # one\n\n".repeat(60);

test("code that is being written looks as it does in the end", () => {
  for (const text of ["a:\n```python\nx = 1", "~~~\nplain\n\n```", "```py title=x\ndef f", "```python\n" + PROGRAM.trimEnd()]) {
    expect(html(text, true).replaceAll("\n", "")).toBe(html(text).replaceAll("\n", ""));
  }
});

test("code is a block by itself, and open until its fence is closed", () => {
  expect(blocksOf("a:\n```py\nx\n\ny\n```\nb\n- c\n  ```\n  d\n  ```")).toEqual([
    "a:",
    "```py\nx\n\ny\n```",
    "b\n- c\n  ```\n  d\n  ```",
  ]);
  expect(openCode("````py\nx\n```")).toEqual({ language: "py", code: "x\n```" });
  expect(openCode("```py\nx\n```")).toBeNull();
  expect(openCode("```")).toEqual({ language: "", code: "" });
  expect(openCode("```a``` b")).toBeNull();
  expect(openCode("text")).toBeNull();
});

test("what is coloured with every token stays short", () => {
  for (let length = 1; length < PROGRAM.length; length += 7) {
    const code = PROGRAM.slice(0, length);
    const settled = settledLength(code);
    expect(settled === 0 || code[settled - 1] === "\n").toBe(true);
    expect(length - settled).toBeLessThan(Math.max(1000, length / 4 + 80));
  }
});

test("a long list is cut between its items, and numbers go on", () => {
  const items = Array.from({ length: 300 }, (_, n) => `${n + 1}. item number ${n + 1}`);
  const blocks = blocksOf(items.join("\n"));
  expect(blocks.length).toBeGreaterThan(1);
  expect(blocks.join("\n")).toBe(items.join("\n"));
  const page = new DOMParser().parseFromString(html(items.join("\n"), true), "text/html");
  expect(page.querySelectorAll("li")).toHaveLength(300);
  const [, second] = page.querySelectorAll("ol");
  expect(second!.start).toBe(blocks[0]!.split("\n").length + 1);
});
