import { fileURLToPath } from "node:url";

import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

// `npm run dev` talks to a server that is already there: ASSISTD_URL, or the port of `make serve`.
const server = process.env["ASSISTD_URL"] ?? "http://127.0.0.1:8000";

/** KaTeX brings every font three times; all browsers that run this page take the first. */
const oneFontFormat: Plugin = {
  name: "one-font-format",
  enforce: "pre",
  transform(code, id) {
    if (!id.endsWith("katex.min.css")) return null;
    return code.replaceAll(/,url\([^)]*\.(?:woff|ttf)\) format\("[^"]*"\)/g, "");
  },
};

export default defineConfig({
  plugins: [oneFontFormat],
  resolve: {
    alias: {
      // In browsers it parses with the document's own parser, which reports the style attributes of formulas to the
      // content security policy; this is what it does everywhere else.
      "hast-util-from-html-isomorphic": fileURLToPath(
        new URL("node_modules/hast-util-from-html-isomorphic/lib/index.js", import.meta.url),
      ),
    },
  },
  build: {
    outDir: "../src/assistd/playground/dist",
    emptyOutDir: true,
    target: "es2023",
    // Nothing is inlined: the content security policy takes scripts, styles and fonts from files of this host alone.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 2500,
    rolldownOptions: {
      // "use client" is for servers that draw pages; here there is none.
      onwarn: (warning, warn) => warning.code !== "MODULE_LEVEL_DIRECTIVE" && warn(warning),
    },
  },
  server: { host: "127.0.0.1", proxy: { "/v1": server } },
  test: { include: ["src/**/*.test.{ts,tsx}"] },
});
