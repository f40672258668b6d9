/**
 * `npm run test:faults -- --defects`: applies one deliberate defect after the other to a copy of the sources, and plays plans
 * until one breaks an invariant. A defect that `seeds` plans do not find is reported, and fails the run.
 */
import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DEFECTS } from './defects.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

interface Trial {
  readonly name: string;
  /** The seed that found it, and the invariant; null: none did. */
  readonly found: string | null;
}

/** True where every defect whose name holds `only` was found. */
export async function runDefects(seeds: number, workers: number, only: string): Promise<boolean> {
  const names = Object.keys(DEFECTS).filter((name) => name.includes(only));
  const trials: Trial[] = [];
  const startedMs = performance.now();
  const queue = [...names];
  const work = async (): Promise<void> => {
    for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
      const found = await tryDefect(name, seeds);
      trials.push({ name, found });
      console.log(`${found === null ? 'MISSED' : 'found '}  ${name}${found === null ? '' : `: ${found}`}`);
    }
  };
  await Promise.all(Array.from({ length: workers }, work));
  const missed = trials.filter(({ found }) => found === null);
  const seconds = Math.round((performance.now() - startedMs) / 1000);
  console.log(`${names.length} defects, ${missed.length} missed, ${seconds} s`);
  return missed.length === 0;
}

async function tryDefect(name: string, seeds: number): Promise<string | null> {
  const folder = mkdtempSync(join(tmpdir(), 'reprieve-defect-'));
  try {
    for (const part of ['src', 'test/faults', 'test/support', 'package.json'])
      cpSync(join(ROOT, part), join(folder, part), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    applyDefect(folder, name);
    const script = join(folder, 'test/faults/run.ts');
    const output = await outputOf([script, '--seeds', String(seeds), '--workers', '1', '--first', '--no-shrink']);
    return /^seed .*$/m.exec(output)?.[0].slice(0, 160) ?? null;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function applyDefect(folder: string, name: string): void {
  const defect = DEFECTS[name] as (typeof DEFECTS)[string];
  for (const { file, from, to } of 'file' in defect ? [defect] : defect) {
    const path = join(folder, 'src', file);
    const parts = readFileSync(path, 'utf8').split(from);
    if (parts.length !== 2) throw new Error(`${name}: what it changes is ${parts.length - 1} times in src/${file}`);
    writeFileSync(path, parts.join(to));
  }
}

/** Also of one that fails: a defect may keep it from starting at all, which finds it as well. */
function outputOf(args: readonly string[]): Promise<string> {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  return new Promise((resolve) => child.once('close', () => resolve(output)));
}
