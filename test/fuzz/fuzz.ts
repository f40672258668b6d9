import { seededRandom } from '../wire/mutate.ts';
import { admission } from './reviews.ts';
import { configurations } from './configurations.ts';
import { objects } from './objects.ts';
import { records } from './records.ts';
import { shrink } from './shrink.ts';
import { outcomeOf, type FuzzSubject } from './subject.ts';
import { verbs } from './verbs.ts';

/** Everything that takes input from outside. */
export const SUBJECTS: readonly FuzzSubject[] = [verbs, admission, objects, configurations, records];

/** The subject of that name, or all. */
export function subjectsNamed(name: string): readonly FuzzSubject[] {
  return name === 'all' ? SUBJECTS : SUBJECTS.filter((subject) => subject.name === name);
}

/** Cases of one block share engines and indexes, which remember: a block is what a seed repeats. */
export const BLOCK = 1000;

export interface Failure {
  readonly block: number;
  readonly subject: string;
  readonly recipe: readonly string[];
  readonly violations: readonly string[];
  readonly input: string;
  /** A smaller input with the same failure. */
  readonly shrunk: string;
}

export interface BlockReport {
  readonly cases: number;
  /** Subject and class of the answer -> how often. */
  readonly answers: ReadonlyMap<string, number>;
  readonly failures: readonly Failure[];
  /** The most that one answer took, of this thread's own time. */
  readonly slowestMs: number;
}

export interface FuzzOptions {
  readonly seed: number;
  readonly cases?: number;
  readonly subjects?: readonly FuzzSubject[];
  /** Of one answer, in milliseconds of the thread's own time; null: not looked at. */
  readonly deadlineMs: number | null;
}

/** One block of cases: the same for the same seed and number. */
export async function fuzzBlock(block: number, options: FuzzOptions): Promise<BlockReport> {
  const { seed, cases = BLOCK, subjects = SUBJECTS, deadlineMs } = options;
  const random = seededRandom(Math.imul(seed, 0x9e3779b1) ^ Math.imul(block + 1, 0x85ebca6b));
  const makers = subjects.map((subject) => ({ subject, maker: subject.maker(random) }));
  const schedule = makers.flatMap((entry) => Array.from({ length: entry.subject.share }, () => entry));
  const answers = new Map<string, number>();
  const failures: Failure[] = [];
  let slowestMs = 0;
  for (let i = 0; i < cases; i++) {
    const { subject, maker } = schedule[i % schedule.length] as (typeof schedule)[number];
    const fuzzCase = maker.next();
    const start = process.threadCpuUsage();
    const { answer, violations } = await outcomeOf(fuzzCase, fuzzCase.input);
    const { user, system } = process.threadCpuUsage(start);
    const tookMs = (user + system) / 1000;
    slowestMs = Math.max(slowestMs, tookMs);
    const key = `${subject.name}: ${answer}`;
    answers.set(key, (answers.get(key) ?? 0) + 1);
    const found =
      deadlineMs !== null && tookMs > deadlineMs ? [...violations, `later than ${deadlineMs} ms`] : violations;
    if (found.length === 0) continue;
    const { recipe, input } = fuzzCase;
    const shrunk = violations.length === 0 ? input : await shrink(fuzzCase);
    failures.push({
      block,
      subject: subject.name,
      recipe,
      violations: found,
      input: input.toString(),
      shrunk: shrunk.toString(),
    });
    if (failures.length >= 3) break; // more of the same would only cost time
  }
  for (const { maker } of makers) await maker.end?.();
  return { cases, answers, failures, slowestMs };
}
