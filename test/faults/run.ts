/**
 * `npm run test:faults -- --seeds N --from S`: plays that many plans, on all cores. One that breaks an invariant is made as
 * small as it can be, told line by line, and the command that plays it again is printed.
 */
import { parseArgs } from 'node:util';
import { availableParallelism } from 'node:os';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { readFileSync } from 'node:fs';
import { Coverage } from './coverage.ts';
import { coverageReport } from './coverage-report.ts';
import { runDefects } from './run-defects.ts';
import { drawPlan, type Plan } from './plan.ts';
import { play, type Outcome } from './play.ts';
import { soak } from './soak.ts';
import { shrink } from './shrink.ts';

/** A seed takes a tenth of a second. */
const OVERDUE_MS = 60_000;

const { values } = parseArgs({
  allowNegative: true,
  options: {
    seeds: { type: 'string', default: '500' },
    from: { type: 'string', default: '1' },
    /** Ends after so many seconds, however many seeds were played. */
    seconds: { type: 'string' },
    workers: { type: 'string', default: String(Math.min(2, availableParallelism())) },
    /** Plays one seed, or one file with a plan, and tells everything. */
    replay: { type: 'string' },
    /** Prints the plan in place of its story. */
    plan: { type: 'boolean', default: false },
    /** Makes what fails smaller before it is told. */
    shrink: { type: 'boolean', default: true },
    coverage: { type: 'boolean', default: false },
    /** Ends with the first seed that fails. */
    first: { type: 'boolean', default: false },
    /** Looks whether the plans find deliberate defects. */
    defects: { type: 'boolean', default: false },
    /** Runs one cluster for so many virtual days. */
    soak: { type: 'string' },
    /** Where the soak draws its lines. */
    svg: { type: 'string' },
    /** Only the defects whose name holds this. */
    only: { type: 'string', default: '' },
  },
});

if (values.soak !== undefined) process.exitCode = (await soak(Number(values.soak), values.svg)) ? 0 : 1;
else if (values.defects)
  process.exitCode = (await runDefects(Number(values.seeds), Number(values.workers), values.only)) ? 0 : 1;
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
  const from = Number(values.from);
  const count = Number(values.seeds);
  const startedMs = performance.now();
  const endMs = values.seconds === undefined ? Infinity : startedMs + Number(values.seconds) * 1000;
  const coverage = new Coverage();
  const failures: { readonly seed: number; readonly invariant: string; readonly message: string }[] = [];
  let next = from;
  let played = 0;
  const isOver = (): boolean =>
    next >= from + count || performance.now() >= endMs || (values.first && failures.length > 0);
  const start = (): ChildProcess => fork(fileURLToPath(new URL('worker.ts', import.meta.url)));
  const work = async (): Promise<void> => {
    let worker = start();
    const ask = async (seed: number): Promise<Outcome | null> => {
      const settled = new AbortController();
      const { signal } = settled;
      const answered = Promise.race([once(worker, 'message', { signal }), once(worker, 'exit', { signal })]);
      worker.send(seed);
      const overdue = setTimeout(() => worker.kill('SIGKILL'), OVERDUE_MS);
      const [answer] = (await answered) as [Outcome | number | null];
      settled.abort();
      clearTimeout(overdue);
      return typeof answer === 'object' ? answer : null;
    };
    while (!isOver()) {
      const seed = next++;
      const outcome = await ask(seed);
      played++;
      if (outcome === null) {
        failures.push({
          seed,
          invariant: 'every run comes to its end',
          message: `no end after ${OVERDUE_MS / 1000} s`,
        });
        worker = start();
        continue;
      }
      const { violation, coverage: met } = outcome;
      coverage.add(met);
      if (violation !== null) failures.push({ seed, ...violation });
    }
    worker.kill();
  };
  await Promise.all(Array.from({ length: Number(values.workers) }, work));
  const seconds = (performance.now() - startedMs) / 1000;

  if (values.coverage) console.log(coverageReport(coverage));
  const firsts = new Map<string, (typeof failures)[number]>(); // invariant -> its first failure
  for (const failure of failures.toSorted((a, b) => a.seed - b.seed)) {
    console.log(`seed ${failure.seed}: ${failure.invariant}: ${failure.message}`);
    if (!firsts.has(failure.invariant)) firsts.set(failure.invariant, failure);
  }
  firsts.delete('every run comes to its end'); // nor would its story
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
