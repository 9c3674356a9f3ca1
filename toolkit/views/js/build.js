// Bundles the notebook chart.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));
const views = path("../static/");
const licensed = ["lightweight-charts", "fancy-canvas"];

// Packages without a licence file name their licence in package.json.
async function licence(name) {
  const { license, author } = JSON.parse(await readFile(path(`node_modules/${name}/package.json`)));
  const named = `${license}, ${author?.name ?? author}`;
  return readFile(path(`node_modules/${name}/LICENSE`), "utf8").catch(() => named);
}

const licences = licensed.map(async (name) => `${name}\n\n${(await licence(name)).trim()}\n`);
await mkdir(views, { recursive: true });
await writeFile(`${views}THIRD_PARTY_LICENSES.txt`, (await Promise.all(licences)).join("\n\n"));
await build({
  entryPoints: [path("src/index.js")],
  outfile: `${views}live_chart.js`,
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "inline",
  logLevel: "warning",
});
