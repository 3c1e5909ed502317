// Builds the pages into dist/, where the builds of the programs find them, or the tests into dist/tests/.
//
//   node build.mjs                pages: each file with its gzip form; scripts and styles have their hash in the name
//   node build.mjs unit|browser   the tests in tests/unit or tests/browser

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, extname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const ROOT = dirname(fileURLToPath(import.meta.url));
const DIST = join(ROOT, 'dist');

/** Licences that may be part of a page. */
const LICENCES = new Set(['MIT', 'ISC', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause']);

/** The pages, with the path from which their assets are served. */
const PAGES = [
  { name: 'console', entry: 'main.ts', assets: '/console/assets/' },
  { name: 'player', entry: 'main.ts', assets: '/recording/assets/' },
  { name: 'dashboard', entry: 'main.tsx', assets: '/ui/assets/' },
];

const wanted = process.argv[2];
if (wanted === undefined) for (const page of PAGES) await buildPage(page);
else await buildTests(wanted);

async function buildPage({ name, entry, assets }) {
  const source = join(ROOT, 'src', name);
  const bundled = await build({
    entryPoints: [join(source, entry)],
    outdir: join(DIST, name),
    absWorkingDir: ROOT,
    bundle: true,
    format: 'esm',
    target: ['chrome111', 'firefox115', 'safari16.4'],
    minify: true,
    jsx: 'automatic',
    jsxImportSource: 'preact',
    legalComments: 'none',
    metafile: true,
    write: false,
  });
  const files = new Map(bundled.outputFiles.map((file) => [basename(file.path), Buffer.from(file.contents)]));
  files.set('icon.svg', readFileSync(join(source, 'icon.svg')));
  files.set('licenses.txt', Buffer.from(licences(Object.keys(bundled.metafile.inputs))));
  const written = new Map();
  const paths = new Map();
  for (const [file, content] of files) {
    const hash = createHash('sha256').update(content).digest('hex').slice(0, 16);
    const hashed = `${basename(file, extname(file))}-${hash}${extname(file)}`;
    paths.set(file, assets + hashed);
    written.set(join('assets', hashed), content);
  }
  const html = readFileSync(join(source, 'index.html'), 'utf8').replace(/{{([^}]+)}}/g, (_, file) => {
    if (!paths.has(file)) throw new Error(`index.html of ${name} names ${file}, which is not built`);
    return paths.get(file);
  });
  written.set('index.html', Buffer.from(html));
  synchronize(join(DIST, name), written);
  const size = [...written.values()].reduce((sum, content) => sum + gzipSync(content).length, 0);
  console.log(`${name}: ${written.size} files, ${Math.round(size / 1024)} KiB with gzip`);
}

/** Returns the licence texts of the packages that these files belong to. */
function licences(inputs) {
  const names = inputs.map((file) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1]);
  const packages = [...new Set(names.filter((name) => name !== undefined))].sort();
  const texts = packages.map((name) => {
    const directory = join(ROOT, 'node_modules', name);
    const { version, license } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'));
    if (!LICENCES.has(license)) throw new Error(`${name} has the licence ${license}, which is not one of ${[...LICENCES]}`);
    const file = readdirSync(directory).find((entry) => /^licen[cs]e/i.test(entry));
    if (file === undefined) throw new Error(`${name} has no file with its licence`);
    return `${name} ${version} (${license})\n\n${readFileSync(join(directory, file), 'utf8').trim()}\n`;
  });
  return ['This page contains these packages:\n', ...texts].join(`\n${'-'.repeat(80)}\n\n`);
}

/** Makes the directory hold these files and their gzip forms. Files that are right keep their time. */
function synchronize(directory, files) {
  const all = new Map();
  for (const [path, content] of files) {
    all.set(path, content);
    all.set(`${path}.gz`, gzipSync(content, { level: 9 }));
  }
  for (const path of existsSync(directory) ? walk(directory) : []) {
    if (!all.has(path)) rmSync(join(directory, path));
  }
  for (const [path, content] of all) {
    const file = join(directory, path);
    if (existsSync(file) && readFileSync(file).equals(content)) continue;
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
  }
}

function walk(directory, root = directory) {
  return readdirSync(directory).flatMap((entry) => {
    const path = join(directory, entry);
    return statSync(path).isDirectory() ? walk(path, root) : [relative(root, path)];
  });
}

async function buildTests(kind) {
  const source = join(ROOT, 'tests', kind);
  const outdir = join(DIST, 'tests', kind);
  rmSync(outdir, { recursive: true, force: true });
  await build({
    entryPoints: readdirSync(source).filter((file) => file.endsWith('.test.ts')).map((file) => join(source, file)),
    outdir,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    target: 'node18',
    sourcemap: 'inline',
    logLevel: 'warning',
  });
}
