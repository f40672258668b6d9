/**
 * `npm run test:cluster [-- vitest arguments]`: builds the programs of a real control plane where the cache lacks them, then
 * runs vitest in a network namespace of its own. A missing prerequisite is a failure here as in CI, never a skipped test.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildBinaries } from './control-plane/binaries.ts';
import { signalGroup } from './control-plane/command.ts';
import { isolated } from './control-plane/network.ts';
import { missingPrerequisites } from './control-plane/prerequisites.ts';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
/** What vitest may take to end by itself after a signal. */
const graceMs = 10_000;

const interrupted = new AbortController();
let interruptedBy: NodeJS.Signals | null = null;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => {
    interruptedBy ??= signal;
    interrupted.abort();
  });

process.exitCode = await main(process.argv.slice(2)).catch((error: Error) => {
  if (interruptedBy === null) say(error.message);
  return 1;
});
if (interruptedBy !== null) process.exitCode = 128 + constants.signals[interruptedBy];

async function main(vitestArguments: readonly string[]): Promise<number> {
  const missing = await missingPrerequisites();
  if (missing.length > 0) {
    for (const line of missing) say(line);
    return 1;
  }
  await buildBinaries({ log: say, signal: interrupted.signal });
  const runFolder = await mkdtemp(join(tmpdir(), 'reprieve-cluster-'));
  const code = await runVitest(vitestArguments, runFolder);
  if (code === 0 || interruptedBy !== null) await rm(runFolder, { recursive: true, force: true });
  else say(`logs of the control planes are in ${runFolder}`);
  return code;
}

async function runVitest(vitestArguments: readonly string[], runFolder: string): Promise<number> {
  const vitest = [join(root, 'node_modules', 'vitest', 'vitest.mjs'), 'run', '--config', 'vitest.cluster.config.ts'];
  const [command, ...args] = isolated([process.execPath, ...vitest, ...vitestArguments]) as [string, ...string[]];
  const child = spawn(command, args, {
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
  if (interrupted.signal.aborted) end();
  interrupted.signal.addEventListener('abort', end);
  const code = await new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (exitCode) => resolve(exitCode ?? 1));
  });
  interrupted.signal.removeEventListener('abort', end);
  clearTimeout(overdue);
  return code;
}

function say(line: string): void {
  process.stderr.write(`test:cluster: ${line}\n`);
}
