/**
 * `npm run test:faults -- --defects`: applies one deliberate defect after the other to a copy of the sources, and plays plans
 * until one breaks an invariant that the same plan does not break without the defect. A defect that `seeds` plans do not find is
 * reported, and fails the run. The plan in {@link SHOWN_BY} is played before these.
 */
import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DEFECTS, SHOWN_BY } from './defects.ts';
import { keptPlan, pathOfKeptPlan } from './kept-plans.ts';
import { drawPlan } from './plan.ts';
import { play } from './play.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Errors of a defect that was written wrong; a plan that ends by one has found nothing. */
const MISTAKES = /ReferenceError|SyntaxError/;

/** A plan that takes longer than this finds nothing: the machine is busy, or the defect stops time. */
const REPLAY_WITHIN_MS = 60_000;

interface Trial {
  readonly name: string;
  /** The plan that found it, and the invariant; null: none did. */
  readonly found: string | null;
}

/** An invariant that a plan breaks with a defect. */
interface Find {
  readonly plan: string;
  readonly invariant: string;
  readonly message: string;
}

/** True where every defect was found whose name holds one of the texts in `only`, which are divided by `|`. */
export async function runDefects(seeds: number, workers: number, only: string): Promise<boolean> {
  const names = Object.keys(DEFECTS).filter((name) => only.split('|').some((text) => name.includes(text)));
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
    if (!applyDefect(folder, name)) return null;
    const script = join(folder, 'test/faults/run.ts');
    const last = SHOWN_BY[name];
    if (last !== undefined) {
      const what = typeof last === 'number' ? String(last) : pathOfKeptPlan(last);
      const find = findInReplay(await outputOf([script, '--replay', what], REPLAY_WITHIN_MS), String(last));
      if (find !== null && (await isByDefect(find, undamaged))) return told(name, find);
    }
    for (let from = 1; from <= seeds;) {
      const range = ['--from', String(from), '--seeds', String(seeds - from + 1)];
      const find = findInRun(await outputOf([script, ...range, '--workers', '1', '--first', '--no-shrink']));
      if (find === null) return null;
      if (await isByDefect(find, undamaged)) return told(name, find);
      from = Number(find.plan) + 1;
    }
    return null;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function told(name: string, { plan, invariant, message }: Find): string | null {
  const text = `${isSeed(plan) ? 'seed' : 'plan'} ${plan}: ${invariant}: ${message}`.slice(0, 160);
  if (!MISTAKES.test(text)) return text;
  console.log(`${name}: what it writes does not run: ${text}`);
  return null;
}

/** The first plan of a run that fails, but for one that did not come to its end. */
export function findInRun(output: string): Find | null {
  const [, plan = '', invariant = '', message = ''] =
    /^seed (\d+): (?!every run comes to its end)(.+?): (.*)$/m.exec(output) ?? [];
  return plan === '' ? null : { plan, invariant, message };
}

/** What one plan broke, of which `--replay` tells every line. */
export function findInReplay(output: string, plan: string): Find | null {
  const [, invariant = '', message = ''] = /^ *[\d.]+ {2}VIOLATED (.+?): (.*)$/m.exec(output) ?? [];
  return invariant === '' ? null : { plan, invariant, message };
}

/** Whether the same plan breaks nothing without the defect, or another invariant: `without` plays it. */
export async function isByDefect(
  { plan, invariant }: Find,
  without: (plan: string) => Promise<string | null>,
): Promise<boolean> {
  if ((await without(plan)) !== invariant) return true;
  console.log(`plan ${plan} breaks this without a defect as well, so it counts for none: ${invariant}`);
  return false;
}

const played = new Map<string, Promise<string | null>>(); // plan -> the invariant that it breaks without a defect
let playing: Promise<unknown> = Promise.resolve(); // one after the other: an error that no promise catches ends all plans that play

function undamaged(name: string): Promise<string | null> {
  let result = played.get(name);
  if (result === undefined) {
    const plan = isSeed(name) ? drawPlan(Number(name)) : keptPlan(name);
    result = playing.then(() => play(plan)).then(({ violation }) => violation?.invariant ?? null);
    played.set(name, result);
    playing = result;
  }
  return result;
}

function isSeed(plan: string): boolean {
  return /^\d+$/.test(plan);
}

/** False where the sources have changed since the defect was written; `defects.test.ts` says so too. */
function applyDefect(folder: string, name: string): boolean {
  const defect = DEFECTS[name] as (typeof DEFECTS)[string];
  for (const { file, from, to } of 'file' in defect ? [defect] : defect) {
    const path = join(folder, 'src', file);
    const parts = readFileSync(path, 'utf8').split(from);
    if (parts.length !== 2) {
      console.log(`${name}: what it changes is ${parts.length - 1} times in src/${file}`);
      return false;
    }
    writeFileSync(path, parts.join(to));
  }
  return true;
}

/** Also of a process that ends with an error: that is how a run says that a plan failed. */
function outputOf(args: readonly string[], timeout?: number): Promise<string> {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], timeout });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  return new Promise((resolve) => child.once('close', () => resolve(output)));
}
