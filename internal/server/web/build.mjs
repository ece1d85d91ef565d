// Builds dist/ from src/: `make web`. dist/ is committed, so that `go build` needs no npm; dist/sources.sha256 names the
// sources that it was made of, and a Go test compares it with those that are there.
import { createHash } from 'node:crypto';
import { cp, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

process.chdir(dirname(fileURLToPath(import.meta.url)));

// In step with builtFrom in web_test.go: these files and all of src/, by name.
const sources = ['build.mjs', 'package-lock.json', 'package.json', 'tsconfig.json'];

async function hashOfSources() {
  const names = [...sources];
  for (const entry of await readdir('src', { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) names.push(join(entry.parentPath, entry.name).replaceAll('\\', '/'));
  }
  const lines = [];
  for (const name of names.sort()) {
    lines.push(
      `${createHash('sha256')
        .update(await readFile(name))
        .digest('hex')}  ${name}\n`,
    );
  }
  return lines.join('');
}

const check = process.argv.includes('--check'); // whether dist is what would be built
const out = check ? await mkdtemp(join(tmpdir(), 'histdist-page-')) : 'dist';
if (!check) await rm(out, { recursive: true, force: true });
await mkdir(join(out, 'assets'), { recursive: true });
const result = await build({
  entryPoints: { page: 'src/main.ts', style: 'src/style/page.css' },
  outdir: join(out, 'assets'),
  bundle: true,
  minify: true,
  format: 'esm',
  target: ['es2022', 'chrome123', 'firefox120', 'safari17.5'],
  charset: 'utf8',
  legalComments: 'none', // whole licences are in LICENSES.txt
  metafile: true,
  logLevel: check ? 'warning' : 'info',
});
await cp('src/index.html', join(out, 'index.html'));
await cp('src/icon.svg', join(out, 'assets/icon.svg'));

// The licence of every package that the bundle has code of.
const packages = new Set();
for (const input of Object.keys(result.metafile.inputs)) {
  const match = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input);
  if (match) packages.add(match[1]);
}
let licenses =
  'The page of histdist serve is part of HistDiST for Go (Apache License 2.0). It contains these packages:\n';
for (const name of [...packages].sort()) {
  const folder = join('node_modules', name);
  const { version, license } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
  const file = (await readdir(folder)).find((f) => /^licen[cs]e/i.test(f));
  if (!file) throw new Error(`${name} has no licence file, which dist/LICENSES.txt needs`);
  const text = (await readFile(join(folder, file), 'utf8')).trim().replaceAll('\r\n', '\n');
  licenses += `\n${'-'.repeat(80)}\n${name} ${version} (${license})\n\n${text}\n`;
}
await writeFile(join(out, 'LICENSES.txt'), licenses);
await writeFile(join(out, 'sources.sha256'), await hashOfSources());

if (check) {
  const files = [
    'assets/icon.svg',
    'assets/page.js',
    'assets/style.css',
    'index.html',
    'LICENSES.txt',
    'sources.sha256',
  ];
  const stale = [];
  for (const file of files) {
    const committed = await readFile(join('dist', file)).catch(() => undefined);
    if (!committed?.equals(await readFile(join(out, file)))) stale.push(file);
  }
  await rm(out, { recursive: true });
  if (stale.length > 0) {
    console.error(`dist is not what is built of the sources (${stale.join(', ')}): run \`make web\` and commit it`);
    process.exit(1);
  }
}
