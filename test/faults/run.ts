/**
 * `npm run test:faults -- --seeds N --from S`: plays that many plans, on all cores. One that breaks an invariant is made as
 * small as it can be, told line by line, and the command that plays it again is printed.
 */
import { availableParallelism } from 'node:os';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { readFileSync } from 'node:fs';
import { argumentsOf, wholeNumber } from '../support/arguments.ts';
import { Coverage } from './coverage.ts';
import { coverageReport } from './coverage-report.ts';
import { addCounts, excuseReport } from './excuses.ts';
import { runDefects } from './run-defects.ts';
import { drawPlan, type Plan } from './plan.ts';
import { play, type Outcome } from './play.ts';
import { soak } from './soak.ts';
import { shrink } from './shrink.ts';

/** A seed takes a tenth of a second. Counted in steps: a machine that stood still for a minute has only missed one. */
const OVERDUE = { stepMs: 2_000, steps: 30 };

/** On a machine that has too much to do, a run may miss it without a defect: alone it does not end `--first`. */
const ENDS = 'every run comes to its end';

/** Then another one goes on: signals that nobody aborts, of processes that were killed, are never collected. */
const SEEDS_PER_WORKER = 250;

const USAGE = `npm run test:faults -- [options]: random clusters in which everything fails, on virtual time

  --seeds N        how many plans (500); --from S  the first (1)
  --seconds N      ends after so many seconds, however many were played
  --workers N      processes (2, at most one a core)
  --coverage       tells which faults met which states
  --first          ends with the first plan that fails
  --no-shrink      does not make smaller what fails
  --replay WHAT    plays one seed, or a file with a plan, and tells every line; --plan prints the plan instead
  --defects        looks whether --seeds plans find each deliberate defect; --only TEXT|TEXT  those whose name holds one
  --soak DAYS      one cluster for so many virtual days; --svg FILE  draws what it measured`;

const values = argumentsOf(
  USAGE,
  {
    seeds: { type: 'string', default: '500' },
    from: { type: 'string', default: '1' },
    seconds: { type: 'string' },
    workers: { type: 'string', default: String(Math.min(2, availableParallelism())) },
    replay: { type: 'string' },
    plan: { type: 'boolean', default: false },
    shrink: { type: 'boolean', default: true },
    coverage: { type: 'boolean', default: false },
    first: { type: 'boolean', default: false },
    defects: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    soak: { type: 'string' },
    svg: { type: 'string' },
  },
  { allowNegative: true },
);
const number = (name: 'seeds' | 'from' | 'workers' | 'seconds' | 'soak', least = 1): number =>
  wholeNumber(USAGE, name, values[name] ?? '', least);

if (values.soak !== undefined) process.exitCode = (await soak(number('soak'), values.svg)) ? 0 : 1;
else if (values.defects) process.exitCode = (await runDefects(number('seeds'), number('workers'), values.only)) ? 0 : 1;
else if (values.replay !== undefined) await replay(values.replay);
else await playMany();

async function replay(what: string): Promise<void> {
  const plan = /^\d+$/.test(what) ? drawPlan(Number(what)) : (JSON.parse(readFileSync(what, 'utf8')) as Plan);
  if (values.plan) {
    console.log(JSON.stringify(plan, null, 2));
    return;
  }
  const { violation } = await play(plan, (line) => console.log(line));
  process.exit(violation === null ? 0 : 1);
}

async function playMany(): Promise<void> {
  const from = number('from', 0);
  const count = number('seeds');
  const workers = number('workers');
  const startedMs = performance.now();
  const endMs = values.seconds === undefined ? Infinity : startedMs + number('seconds') * 1000;
  const coverage = new Coverage();
  const excuses = new Map<string, number>();
  const failures: { readonly seed: number; readonly invariant: string; readonly message: string }[] = [];
  let next = from;
  let played = 0;
  const hasFailed = (): boolean => failures.some(({ invariant }) => invariant !== ENDS);
  const isOver = (): boolean => next >= from + count || performance.now() >= endMs || (values.first && hasFailed());
  const start = (): ChildProcess => fork(fileURLToPath(new URL('worker.ts', import.meta.url)));
  const work = async (): Promise<void> => {
    let worker = start();
    const ask = async (seed: number): Promise<Outcome | null> => {
      const settled = new AbortController();
      const { signal } = settled;
      const answered = Promise.race([once(worker, 'message', { signal }), once(worker, 'exit', { signal })]);
      worker.send(seed);
      let steps = 0;
      const overdue = setInterval(() => {
        if (++steps >= OVERDUE.steps) worker.kill('SIGKILL');
      }, OVERDUE.stepMs);
      const [answer] = (await answered) as [Outcome | number | null];
      settled.abort();
      clearInterval(overdue);
      return typeof answer === 'object' ? answer : null;
    };
    for (let since = 0; !isOver(); since++) {
      if (since === SEEDS_PER_WORKER) {
        since = 0;
        worker.kill();
        worker = start();
      }
      const seed = next++;
      const outcome = await ask(seed);
      played++;
      if (outcome === null) {
        failures.push({
          seed,
          invariant: ENDS,
          message: `no end after ${(OVERDUE.stepMs * OVERDUE.steps) / 1000} s`,
        });
        worker = start();
        continue;
      }
      const { violation, coverage: met, excuses: used } = outcome;
      coverage.add(met);
      addCounts(excuses, used);
      if (violation !== null) failures.push({ seed, ...violation });
    }
    worker.kill();
  };
  await Promise.all(Array.from({ length: workers }, work));
  const seconds = (performance.now() - startedMs) / 1000;

  if (values.coverage) console.log(coverageReport(coverage));
  console.log(excuseReport(excuses));
  const firsts = new Map<string, (typeof failures)[number]>(); // invariant -> its first failure
  for (const failure of failures.toSorted((a, b) => a.seed - b.seed)) {
    console.log(`seed ${failure.seed}: ${failure.invariant}: ${failure.message}`);
    if (!firsts.has(failure.invariant)) firsts.set(failure.invariant, failure);
  }
  firsts.delete(ENDS); // nor would its story
  if (values.shrink) for (const { seed } of firsts.values()) await tell(seed);
  const rate = Math.round((played / seconds) * 60);
  console.log(`${played} seeds (${from} to ${next - 1}), ${failures.length} failed, ${rate} seeds a minute`);
  process.exitCode = failures.length === 0 ? 0 : 1;
}

/** The shortest story that still breaks the same invariant. */
async function tell(seed: number): Promise<void> {
  const { plan, violation } = await shrink(drawPlan(seed));
  console.log(`\n--- seed ${seed}, with ${plan.steps.length} steps: ${violation.invariant}`);
  const lines: string[] = [];
  await play(plan, (line) => lines.push(line));
  console.log(lines.slice(-80).join('\n'));
  console.log(`plan: ${JSON.stringify(plan)}`);
  console.log(`again: npm run test:faults -- --replay ${seed}\n`);
}
