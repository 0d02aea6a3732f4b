import { defineConfig } from "vitest/config";

export default defineConfig({
  // Any folder of any HTTPS host.
  base: "./",
  build: {
    target: "es2022",
    modulePreload: false,
    rollupOptions: {
      input: { page: "index.html", sw: "src/sw.ts" },
      // A service worker is found by its name.
      output: { entryFileNames: (chunk) => (chunk.name === "sw" ? "sw.js" : "assets/[name]-[hash].js") },
    },
  },
  test: {
    reporters: ["default", "./test/counts.ts"],
    include: ["test/**/*.test.ts", "e2e/**/*.test.ts"],
    // Browsers and the arithmetic of 4096 bits on a busy machine.
    testTimeout: 240_000,
    hookTimeout: 60_000,
  },
});
