/**
 * `npm run test:fuzz -- --bodies N --seed S [--from BLOCK] [--seconds N] [--connections N] [--workers N] [--only SUBJECT]`:
 * input from outside, by the million, in two processes, and beside them real connections to a real server. Ends after so many bodies,
 * or when the seconds are over. Prints which answers were seen and how often; a failure with the command that repeats it,
 * its input and a smaller one. Fails on any violation, on a worker that ends by itself, and where the heap grows with the
 * number of bodies.
 */
import { fork } from 'node:child_process';
import { join } from 'node:path';
import { argumentsOf, oneWordOf, wholeNumber } from '../support/arguments.ts';
import { fuzzConnections } from './connections.ts';
import { BLOCK, SUBJECTS, type Failure } from './fuzz.ts';
import type { Order, Progress } from './worker.ts';

/** `httpTimeout` of preempt in config/kube-scheduler.yaml, and `timeoutSeconds` in deploy/webhook.yaml. */
const DEADLINE_MS = 2000;
/** More than caches that fill, and code that is compiled, may add between the first look at the heap and the last. */
const MAX_GROWTH_BYTES = 8 * 2 ** 20;
const MAX_SHOWN = 2000;
/** What connections are tried with: kube-scheduler's, many times over, and bodies of about 100 MB. */
const CONNECTIONS = { crowd: 1000, maxBodyBytes: 64 * 2 ** 20, requestMs: 2000 };

const USAGE = `npm run test:fuzz -- [options]: input from outside that is nearly right, and connections that misbehave

  --bodies N       how many (100000); --seed S  of which kind (1); --from BLOCK  the first block of ${BLOCK} (0)
  --seconds N      ends after so many seconds (3600)
  --connections N  how many that misbehave (1000; 0: none)
  --workers N      processes for the bodies (2)
  --only SUBJECT   ${SUBJECTS.map(({ name }) => name).join(', ')} (all)`;

const values = argumentsOf(USAGE, {
  bodies: { type: 'string', default: '100000' },
  seed: { type: 'string', default: '1' },
  from: { type: 'string', default: '0' },
  seconds: { type: 'string', default: '3600' },
  workers: { type: 'string', default: '2' },
  connections: { type: 'string', default: '1000' },
  only: { type: 'string', default: 'all' },
});
const MAY_BE_NONE: ReadonlySet<string> = new Set(['seed', 'from', 'connections']);
const { only, ...numbers } = values;
oneWordOf(USAGE, 'only', only, [...SUBJECTS.map(({ name }) => name), 'all']);
const { bodies, seed, from, seconds, workers, connections } = Object.fromEntries(
  Object.entries(numbers).map(([name, value]) => [
    name,
    wholeNumber(USAGE, name, value, MAY_BE_NONE.has(name) ? 0 : 1),
  ]),
) as Record<keyof typeof numbers, number>;
const to = from + Math.ceil(bodies / BLOCK);
const startMs = performance.now();
const untilMs = Date.now() + seconds * 1000;
const answers = new Map<string, number>();
const failures: Failure[] = [];
let cases = 0;
let slowestMs = 0;

const [ends, wire] = await Promise.all([
  Promise.all(Array.from({ length: Math.min(workers, to - from) }, (_, worker) => runWorker(worker))),
  connections === 0 ? null : fuzzConnections({ seed: seed + from, rounds: connections, ...CONNECTIONS }),
]);
for (const [answer, count] of wire?.answers ?? []) answers.set(`connections: ${answer}`, count);

const tookS = (performance.now() - startMs) / 1000;
for (const [answer, count] of [...answers].sort(([a], [b]) => (a < b ? -1 : 1)))
  console.log(`${String(count).padStart(9)}  ${answer}`);
for (const { subject, recipe, violations, block, input, shrunk } of failures) {
  console.log(`\nFAILED  ${subject}: ${recipe.join(', ')}`);
  for (const violation of violations.slice(0, 5)) console.log(`        ${violation}`);
  console.log(
    `        again: npm run test:fuzz -- --seed ${seed} --from ${block} --bodies ${BLOCK} --connections 0 --only ${only}`,
  );
  console.log(`        input: ${shown(input)}\n        shrunk: ${shown(shrunk)}`);
}
const problems = [
  ...failures.map(({ subject }) => `${subject}: a violation`),
  ...ends.flat(),
  ...(wire?.failures ?? []).map((failure) => `connections of seed ${seed + from}, ${failure}`),
];
for (const problem of problems) console.log(`FAILED  ${problem}`);
console.log(
  `test:fuzz: ${cases} bodies of seed ${seed} from block ${from} and ${connections} connections in ${tookS.toFixed(1)} s, ` +
    `${Math.round(cases / tookS)} a second; slowest answer ${slowestMs.toFixed(0)} ms; ${problems.length} problems`,
);
process.exitCode = problems.length === 0 ? 0 : 1;

/** Resolves with what is wrong about the worker itself. */
function runWorker(worker: number): Promise<string[]> {
  const child = fork(join(import.meta.dirname, 'worker.ts'), { execArgv: ['--expose-gc'] });
  const heap: number[] = [];
  let blocks = 0;
  child.on('message', (progress: Progress) => {
    blocks++;
    cases += progress.cases;
    slowestMs = Math.max(slowestMs, progress.slowestMs);
    for (const [answer, count] of progress.answers) answers.set(answer, (answers.get(answer) ?? 0) + count);
    failures.push(...progress.failures);
    if (progress.heapBytes !== null) heap.push(progress.heapBytes);
  });
  const order: Order = { seed, only, from: from + worker, to, stride: workers, deadlineMs: DEADLINE_MS, untilMs };
  child.send(order);
  return new Promise((resolve) => {
    child.on('exit', (code, signal) => {
      const last = from + worker + Math.max(0, blocks - 1) * workers;
      const sizes = heap.map((bytes) => (bytes / 2 ** 20).toFixed(1)).join(' ');
      console.log(
        `worker ${worker}: every ${workers}. block from ${from + worker} to ${last}; live heap in MB ${sizes}`,
      );
      const growth = (heap.at(-1) ?? 0) - (heap[0] ?? 0);
      resolve([
        ...(code === 0 ? [] : [`worker ${worker} ended with ${signal ?? `code ${code}`}`]),
        ...(growth > MAX_GROWTH_BYTES ? [`worker ${worker}: the heap grew by ${growth} bytes`] : []),
      ]);
    });
  });
}

/** With control characters and half characters escaped. */
function shown(text: string): string {
  const json = JSON.stringify(text.slice(0, MAX_SHOWN));
  return text.length > MAX_SHOWN ? `${json} and ${text.length - MAX_SHOWN} more` : json;
}
