/**
 * `npm run bench [-- SCENARIO...]`: measures what `scenarios.json` says and prints it; with `--record` also keeps it for
 * `npm run bench:report`. `npm run bench:check`: fails when a figure leaves its range in `ranges.json`. Ranges are ratios to
 * a reference of the same run, so that they hold on slower machines, or goals in milliseconds.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { format } from 'prettier';
import { admission, type AdmissionScenario } from './admission.ts';
import { decide, type DecideScenario } from './decide.ts';
import type { Figure } from './figures.ts';
import { HISTORY_FILE, readHistory, withRun } from './history.ts';
import { hotPath, type HotPathScenario } from './hot-path.ts';
import type { Measured } from './measure.ts';
import { queue, type QueueScenario } from './queue.ts';
import { checkRanges, type Range } from './ranges.ts';
import { scheduler, type SchedulerScenario } from './scheduler/scenario.ts';
import { sync, type SyncScenario } from './sync.ts';

interface Scenarios {
  readonly admission: AdmissionScenario;
  readonly decide: DecideScenario;
  readonly 'hot-path': HotPathScenario;
  readonly queue: QueueScenario;
  readonly sync: SyncScenario;
  readonly scheduler: SchedulerScenario;
}

function readJson(name: string): unknown {
  return JSON.parse(readFileSync(join(import.meta.dirname, name), 'utf8'));
}

function log(line: string): void {
  process.stderr.write(`${line}\n`);
}

function figuresOf(measured: readonly Measured[]): readonly Figure[] {
  return measured.flatMap(({ name, ...times }) =>
    (['p50', 'p99', 'max'] as const).map((which) => ({
      name: `${name}, ${which}`,
      unit: 'us' as const,
      value: times[which],
    })),
  );
}

const scenarios = readJson('scenarios.json') as Scenarios;
const RUNS: Readonly<Record<keyof Scenarios, () => Promise<readonly Figure[]>>> = {
  decide: async () => figuresOf(await decide(scenarios.decide)),
  'hot-path': async () => figuresOf(await hotPath(scenarios['hot-path'], log)),
  queue: () => queue(scenarios.queue, log),
  admission: () => admission(scenarios.admission, log),
  sync: () => sync(scenarios.sync, log),
  scheduler: () => scheduler(scenarios.scheduler, log),
};
/** Needs a real control plane, and longer than all the others. */
const ONLY_BY_NAME: keyof Scenarios = 'scheduler';

const isCheck = process.argv.includes('--check');
const isRecorded = process.argv.includes('--record');
const wanted = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));
const names = Object.keys(RUNS) as (keyof Scenarios)[];
const unknown = wanted.find((name) => !names.includes(name as keyof Scenarios));
if (unknown !== undefined) throw new Error(`no scenario "${unknown}"; there are ${names.join(', ')}`);

const figures: Figure[] = [];
for (const name of names) {
  if (wanted.length > 0 ? !wanted.includes(name) : name === ONLY_BY_NAME) continue;
  log(`scenario ${name}`);
  const measured = await RUNS[name]();
  for (const { name: what, value, unit } of measured)
    console.log(`${what.padEnd(70)}${value.toFixed(unit === 'us' ? 0 : 2).padStart(10)} ${unit}`);
  figures.push(...measured);
  if (!isRecorded) continue;
  const history = JSON.stringify(withRun(readHistory(), name, measured), null, 2);
  mkdirSync(dirname(HISTORY_FILE), { recursive: true });
  writeFileSync(HISTORY_FILE, await format(history, { parser: 'json', printWidth: 120 }));
}
if (isCheck && !checkRanges(readJson('ranges.json') as readonly Range[], figures, console.log)) process.exitCode = 1;
