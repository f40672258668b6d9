import { spawn, type ChildProcess } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { wrapperFor } from '../../src/node-setup/wrapper.ts';

const TEMPLATE = readFileSync(
  join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), 'deploy/node/reprieve-runc'),
  'utf8',
);

/** Shells that a node may have as /bin/sh; those of this machine. */
export const SHELLS: readonly (readonly string[])[] = [['dash'], ['busybox', 'sh'], ['bash', '--posix']].filter(
  ([program]) => (process.env['PATH'] ?? '').split(':').some((folder) => existsSync(join(folder, program as string))),
);

/**
 * Records each call, its words NUL-terminated, in `calls/<n>`, with its umask and its home. What it does is told by files
 * beside it: `fail-<subcommand>` holds an exit code, `slow-<subcommand>` makes it wait until that file is gone.
 */
const RUNTIME = `#!/bin/sh
here=HERE
n=0
while ! mkdir "$here/calls/$n" 2>/dev/null; do n=$((n + 1)); done
for word in "$@"; do printf '%s\\0' "$word"; done >"$here/calls/$n/argv.tmp"
umask >"$here/calls/$n/umask"
printf '%s' "$HOME" >"$here/calls/$n/home"
mv "$here/calls/$n/argv.tmp" "$here/calls/$n/argv"
for word in "$@"; do
  while [ -e "$here/slow-$word" ]; do sleep 0.05; done
  if [ -e "$here/fail-$word" ]; then exit "$(cat "$here/fail-$word")"; fi
done
echo "the runtime's own words"
exit 0
`;

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What containerd makes of a container, in a folder of its own. */
export interface Container {
  readonly id: string;
  readonly bundle: string;
  readonly log: string;
  /** As go-runc calls it. */
  readonly create: readonly string[];
}

export interface Spec {
  readonly annotations?: Readonly<Record<string, string>>;
  readonly env?: readonly string[];
}

export const POD = '6f1b4f0e-8a51-4d3c-9f0a-0d7c2f4b1e11';
export const SANDBOX = 'a'.repeat(64);

/** Annotations that containerd gives a container of a pod with a ticket. */
export function containerAnnotations(name = 'worker', pod = POD): Record<string, string> {
  return {
    'io.kubernetes.cri.container-name': name,
    'io.kubernetes.cri.container-type': 'container',
    'io.kubernetes.cri.image-name': 'registry.k8s.io/worker:1',
    'io.kubernetes.cri.sandbox-id': SANDBOX,
    'io.kubernetes.cri.sandbox-name': 'pod',
    'io.kubernetes.cri.sandbox-namespace': 'default',
    'io.kubernetes.cri.sandbox-uid': pod,
    'reprieve.dev/ticket': 'worker-5x2p1',
  };
}

export function sandboxAnnotations(): Record<string, string> {
  return {
    'io.kubernetes.cri.container-type': 'sandbox',
    'io.kubernetes.cri.sandbox-id': SANDBOX,
    'io.kubernetes.cri.sandbox-uid': POD,
    'reprieve.dev/ticket': 'worker-5x2p1',
  };
}

/** There are rules of criu in both of the ways that it knows. */
const NSENTER = `#!/bin/sh
[ "$1" = --net=/var/run/netns/cni-1 ] || exit 9
shift
echo "$*" >>HERE/network
[ "$*" != 'nft list tables' ] || printf 'table ip filter\\ntable inet CRIU-7\\n'
`;

/** The network namespace of the sandbox. */
const NETWORK = '/var/run/netns/cni-1';

/** config.json as containerd writes it: compact, `<`, `>` and `&` escaped as Go does. */
export function configJson({ annotations = containerAnnotations(), env = [] }: Spec = {}): string {
  const config = {
    ociVersion: '1.2.1',
    process: { args: ['sleep', '1'], env: ['PATH=/bin', ...env], cwd: '/' },
    root: { path: 'rootfs' },
    annotations,
    linux: { namespaces: [{ type: 'pid' }, { type: 'network', path: NETWORK }] },
  };
  return JSON.stringify(config).replace(/[<>&]/g, (c) => `\\u00${c.charCodeAt(0).toString(16)}`);
}

/** A node's folders, the wrapper made for them, and a runtime that only takes notes. */
export class Stage implements Disposable {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'wrapper-'));
  readonly run = join(this.folder, 'run');
  readonly wrapper = join(this.folder, 'reprieve-runc');
  readonly runtime = join(this.folder, 'runc');
  /** Before all others in the PATH. */
  readonly bin = join(this.folder, 'bin');
  readonly #shell: readonly string[];
  readonly #children = new Set<ChildProcess>();

  constructor(shell: readonly string[], { answerWithin = 30 }: { answerWithin?: number } = {}) {
    this.#shell = shell;
    mkdirSync(join(this.folder, 'calls'));
    mkdirSync(this.bin);
    writeFileSync(join(this.bin, 'nsenter'), NSENTER.replace('HERE', this.folder), { mode: 0o755 });
    mkdirSync(this.run, { mode: 0o700 });
    writeFileSync(this.runtime, RUNTIME.replace('HERE', this.folder), { mode: 0o755 });
    writeFileSync(this.wrapper, wrapperFor(TEMPLATE, { runtime: this.runtime, run: this.run, answerWithin }));
  }

  /** `config` is the text of config.json; null leaves the file out. */
  container(id: string, config: string | null = configJson()): Container {
    const bundle = join(this.folder, 'bundles', id);
    mkdirSync(bundle, { recursive: true });
    if (config !== null) writeFileSync(join(bundle, 'config.json'), config);
    const log = join(bundle, 'log.json');
    const create = ['--root', '/run/runc', '--log', log, '--log-format', 'json', 'create'];
    create.push('--bundle', bundle, '--pid-file', join(bundle, 'init.pid'), id);
    return { id, bundle, log, create };
  }

  start(args: readonly string[]): { readonly child: ChildProcess; readonly ended: Promise<Ended> } {
    const [command, ...rest] = [...this.#shell, this.wrapper, ...args] as [string, ...string[]];
    const env = { ...process.env, PATH: `${this.bin}:${process.env['PATH']}` };
    const child = spawn(command, rest, { stdio: ['ignore', 'pipe', 'pipe'], cwd: this.folder, env });
    this.#children.add(child);
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (data: Buffer) => (stdout += data.toString()));
    child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
    const ended = new Promise<Ended>((resolve) => {
      child.on('close', (code) => {
        this.#children.delete(child);
        resolve({ code, stdout, stderr });
      });
    });
    return { child, ended };
  }

  play(args: readonly string[]): Promise<Ended> {
    return this.start(args).ended;
  }

  /** What the runtime was called with, in order. */
  calls(): string[][] {
    return this.#notes('argv').map((words) => words.split('\0').slice(0, -1));
  }

  umasks(): number[] {
    return this.#notes('umask').map((mask) => Number.parseInt(mask, 8));
  }

  homes(): string[] {
    return this.#notes('home');
  }

  /** What was called in the network namespace of the sandbox, in order. */
  networkCalls(): string[] {
    const notes = join(this.folder, 'network');
    return existsSync(notes) ? readFileSync(notes, 'utf8').split('\n').slice(0, -1) : [];
  }

  #notes(name: string): string[] {
    const folder = join(this.folder, 'calls');
    const calls = readdirSync(folder).sort((a, b) => Number(a) - Number(b));
    return calls
      .filter((call) => existsSync(join(folder, call, 'argv')))
      .map((call) => readFileSync(join(folder, call, name), 'utf8'));
  }

  fail(subcommand: string, code: number): void {
    writeFileSync(join(this.folder, `fail-${subcommand}`), String(code));
  }

  hold(subcommand: string): void {
    writeFileSync(join(this.folder, `slow-${subcommand}`), '');
  }

  letGo(subcommand: string): void {
    rmSync(join(this.folder, `slow-${subcommand}`));
  }

  /** The request that `id` waits with, as soon as it is there in its `attempt`. */
  async request(id: string, attempt = 0): Promise<Record<string, string>> {
    const path = join(this.run, 'requests', `${id}.d`, 'request');
    return until(() => {
      if (!existsSync(path)) return null;
      const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
      const request = Object.fromEntries(lines.map((line) => line.split(/=(.*)/s).slice(0, 2) as [string, string]));
      return request['attempt'] === String(attempt) && !existsSync(join(dirname(path), 'answer')) ? request : null;
    });
  }

  answer(id: string, text: string): void {
    const path = join(this.run, 'requests', `${id}.d`, 'answer');
    writeFileSync(`${path}.tmp`, text);
    renameSync(`${path}.tmp`, path);
  }

  requests(): string[] {
    const folder = join(this.run, 'requests');
    return existsSync(folder) ? readdirSync(folder) : [];
  }

  result(name: string, pod = POD): string | null {
    const path = join(this.run, 'pods', pod, `${name}.result`);
    return existsSync(path) ? readFileSync(path, 'utf8') : null;
  }

  [Symbol.dispose](): void {
    for (const child of this.#children) child.kill('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Waits for what `look` finds; the test's own time limit ends it. */
export async function until<T>(look: () => T | null): Promise<T> {
  for (;;) {
    const found = look();
    if (found !== null) return found;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
