// `node build.mjs [--serve] [--outdir=dist]`: one page, one script, one style sheet.
import { copyFile, mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build, context } from "esbuild";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const { values } = parseArgs({
  options: { serve: { type: "boolean" }, outdir: { type: "string", default: here("dist") } },
});
const options = {
  entryPoints: { app: here("src/main.tsx") },
  outdir: values.outdir,
  bundle: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  minify: !values.serve,
  sourcemap: values.serve,
  define: { "process.env.NODE_ENV": values.serve ? '"development"' : '"production"' },
  // The client is linked into node_modules: look for React here, not where the link leads.
  preserveSymlinks: true,
  logLevel: "warning",
};

await mkdir(values.outdir, { recursive: true });
await copyFile(here("index.html"), `${values.outdir}/index.html`);
if (values.serve) {
  const watched = await context(options);
  const { port } = await watched.serve({ host: "127.0.0.1", port: 5173, servedir: values.outdir });
  console.log(`http://localhost:${port}`);
} else {
  await build(options);
}
