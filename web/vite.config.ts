// Builds the page into one HTML file: scripts and styles inside it, nothing fetched. The Python package carries the result.
import { defineConfig } from "vite";
import { viteSingleFile } from "vite-plugin-singlefile";

export default defineConfig({
  plugins: [viteSingleFile({ removeViteModuleLoader: true })],
  build: {
    outDir: "../src/yieldloop/watch/page",
    emptyOutDir: false,
    target: "es2022",
    modulePreload: false,
    rolldownOptions: { input: "template.html" },
  },
});
