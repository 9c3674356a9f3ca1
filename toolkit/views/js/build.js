// Bundles the notebook chart and copies the browser's Socket.IO client, each beside its users.
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));
const views = path("../static/");
const streaming = path("../../streaming/static/");
const licensed = {
  [views]: ["lightweight-charts", "fancy-canvas"],
  [streaming]: ["socket.io-client", "engine.io-client", "socket.io-parser", "engine.io-parser"],
};

// Packages without a licence file name their licence in package.json.
async function licence(name) {
  const { license, author } = JSON.parse(await readFile(path(`node_modules/${name}/package.json`)));
  const named = `${license}, ${author?.name ?? author}`;
  return readFile(path(`node_modules/${name}/LICENSE`), "utf8").catch(() => named);
}

async function writeLicences(folder, packages) {
  const texts = packages.map(async (name) => `${name}\n\n${(await licence(name)).trim()}\n`);
  await writeFile(`${folder}THIRD_PARTY_LICENSES.txt`, (await Promise.all(texts)).join("\n\n"));
}

for (const [folder, packages] of Object.entries(licensed)) {
  await mkdir(folder, { recursive: true });
  await writeLicences(folder, packages);
}
await copyFile(
  path("node_modules/socket.io-client/dist/socket.io.min.js"),
  `${streaming}socket.io.min.js`,
);
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
