import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// `npm run dev` talks to a server that is already there: ASSISTD_URL, or the port of `make serve`.
const server = process.env["ASSISTD_URL"] ?? "http://127.0.0.1:8000";

export default defineConfig({
  plugins: [react()],
  build: {
    outDir: "../src/assistd/playground/dist",
    emptyOutDir: true,
    target: "es2023",
    // Nothing is inlined: the content security policy takes scripts, styles and fonts from files of this host alone.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1500,
  },
  server: { host: "127.0.0.1", proxy: { "/v1": server } },
  test: { environment: "jsdom", include: ["src/**/*.test.{ts,tsx}"] },
});
