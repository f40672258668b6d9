import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildBinaries } from './binaries.ts';
import { signalGroup } from './command.ts';
import { isolated } from './network.ts';
import { missingPrerequisites } from './prerequisites.ts';

const root = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));
/** What the command may take to end by itself after a signal. */
const graceMs = 10_000;

/**
 * Builds the programs of a real control plane where the cache lacks them, then runs Node.js with `args` in a network namespace
 * of its own; answers the exit code. A missing prerequisite is a failure everywhere, never a skipped test.
 */
export async function runInCluster(name: string, args: readonly string[]): Promise<number> {
  const say = (line: string): void => void process.stderr.write(`${name}: ${line}\n`);
  const interrupted = new AbortController();
  let interruptedBy: NodeJS.Signals | null = null;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => {
      interruptedBy ??= signal;
      interrupted.abort();
    });
  const exitCode = (code: number): number => (interruptedBy === null ? code : 128 + constants.signals[interruptedBy]);
  try {
    const missing = await missingPrerequisites();
    for (const line of missing) say(line);
    if (missing.length > 0) return 1;
    await buildBinaries({ log: say, signal: interrupted.signal });
    const runFolder = await mkdtemp(join(tmpdir(), 'reprieve-cluster-'));
    const code = await run(args, runFolder, interrupted.signal);
    if (code === 0 || interrupted.signal.aborted) await rm(runFolder, { recursive: true, force: true });
    else say(`logs of the control planes are in ${runFolder}`);
    return exitCode(code);
  } catch (error) {
    if (interruptedBy === null) say((error as Error).message);
    return exitCode(1);
  }
}

async function run(args: readonly string[], runFolder: string, interrupted: AbortSignal): Promise<number> {
  const [command, ...rest] = isolated([process.execPath, ...args]) as [string, ...string[]];
  const child = spawn(command, rest, {
    cwd: root,
    // A group of its own: a Ctrl-C of the terminal reaches this process alone, which then ends the others in order.
    detached: true,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, REPRIEVE_CLUSTER_DIR: runFolder },
  });
  let overdue: NodeJS.Timeout | undefined;
  const end = (): void => {
    signalGroup(child.pid, 'SIGTERM');
    overdue = setTimeout(() => signalGroup(child.pid, 'SIGKILL'), graceMs);
  };
  if (interrupted.aborted) end();
  interrupted.addEventListener('abort', end);
  const code = await new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (exitCode) => resolve(exitCode ?? 1));
  });
  interrupted.removeEventListener('abort', end);
  clearTimeout(overdue);
  return code;
}
