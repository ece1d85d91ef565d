// A server with a synthetic slide and the model in the binary, for the tests of a file.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const root = join(dirname(fileURLToPath(import.meta.url)), '../../../..');
export const program = process.env.HISTDIST ?? join(root, 'bin/histdist');

export const TOKEN = 'correct-horse-battery-staple';

export class Server {
  readonly address: string;
  #process: ChildProcess | undefined;
  #log = '';

  private constructor(
    readonly folder: string,
    private readonly port: number,
    private readonly options: string[],
  ) {
    this.address = `http://127.0.0.1:${port}/`;
  }

  static async start(options: { token?: boolean; empty?: boolean } = {}): Promise<Server> {
    const folder = await mkdtemp(join(tmpdir(), 'histdist-web-'));
    const slides = join(folder, 'slides');
    await mkdir(slides);
    if (!options.empty) {
      await run(program, [
        'data',
        'synth',
        '--slide',
        '768x640',
        '--seed',
        '5',
        '--tissue-share',
        '0.6',
        '--output',
        join(folder, 'synth'),
      ]);
      await run('cp', [join(folder, 'synth', 'he.ome.tiff'), join(slides, 'breast.ome.tiff')]);
    }
    const more: string[] = [];
    if (options.token) {
      await writeFile(join(folder, 'tokens'), `tester ${TOKEN}\n`, { mode: 0o600 });
      more.push('--token-file', join(folder, 'tokens'));
    }
    const server = new Server(folder, await freePort(), more);
    await server.run();
    return server;
  }

  async run(): Promise<void> {
    const { folder, port } = this;
    const started = spawn(
      program,
      [
        'serve',
        '--model',
        'demo',
        '--slides',
        join(folder, 'slides'),
        '--state',
        join(folder, 'state'),
        '--address',
        `127.0.0.1:${port}`,
        ...this.options,
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    this.#process = started;
    for (const stream of [started.stdout, started.stderr])
      stream.on('data', (text: Buffer) => (this.#log += text.toString()));
    for (let i = 0; i < 600; i++) {
      if (started.exitCode !== null) break;
      try {
        if ((await fetch(`${this.address}api/v1/health`)).ok) return;
      } catch {
        // not yet
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`the server did not start:\n${this.#log}`);
  }

  // kill ends the server without a warning.
  async kill(): Promise<void> {
    const process = this.#process;
    if (!process || process.exitCode !== null) return;
    await new Promise((resolve) => {
      process.once('exit', resolve);
      process.kill('SIGKILL');
    });
  }

  async remove(): Promise<void> {
    await this.kill();
    await rm(this.folder, { recursive: true, force: true });
  }
}

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  if (typeof address !== 'object' || address === null) throw new Error('no free port');
  return address.port;
}
