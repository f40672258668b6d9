import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildBinaries, type BuildOptions } from './binaries.ts';
import { signalGroup } from './command.ts';
import { isolated, type Surroundings } from './network.ts';
import { missingPrerequisites } from './prerequisites.ts';

const root = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));
/** What the command may take to end by itself after a signal. */
const graceMs = 10_000;

/** What a suite needs besides a control plane. */
export interface Extension {
  /** One line for each thing that is missing, with its remedy. */
  readonly missing: () => Promise<string[]>;
  /** Runs before the network is cut off. */
  readonly build: (options: BuildOptions) => Promise<void>;
  readonly surroundings: (runFolder: string) => Surroundings;
  /** When everything has ended, however that came. */
  readonly tidyUp: (runFolder: string) => Promise<void>;
}

/**
 * Builds the programs of a real control plane where the cache lacks them, then runs Node.js with `args` in a network namespace
 * of its own; answers the exit code. A missing prerequisite is a failure everywhere, never a skipped test.
 */
export async function runInCluster(name: string, args: readonly string[], extension?: Extension): Promise<number> {
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
    const missing = [...(await missingPrerequisites()), ...((await extension?.missing()) ?? [])];
    for (const line of missing) say(line);
    if (missing.length > 0) return 1;
    const building = { log: say, signal: interrupted.signal };
    await buildBinaries(building);
    await extension?.build(building);
    const runFolder = await mkdtemp(join(tmpdir(), 'reprieve-cluster-'));
    const code = await run(args, runFolder, interrupted.signal, extension?.surroundings(runFolder));
    await extension?.tidyUp(runFolder);
    if (code === 0 || interrupted.signal.aborted) await rm(runFolder, { recursive: true, force: true });
    else say(`logs of the control planes are in ${runFolder}`);
    return exitCode(code);
  } catch (error) {
    if (interruptedBy === null) say((error as Error).message);
    return exitCode(1);
  }
}

async function run(
  args: readonly string[],
  runFolder: string,
  interrupted: AbortSignal,
  surroundings?: Surroundings,
): Promise<number> {
  const [command, ...rest] = isolated([process.execPath, ...args], surroundings) as [string, ...string[]];
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
