import { existsSync, readFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import type { Figure } from './figures.ts';

/** One run of one scenario. */
export interface Run {
  readonly date: string;
  readonly machine: string;
  readonly figures: readonly Figure[];
}

/** Scenario -> its last runs, oldest first. */
export type History = Readonly<Record<string, readonly Run[]>>;

export const HISTORY_FILE = join(import.meta.dirname, 'results', 'figures.json');

/** So many are kept: enough for a spread, and all of them of one state of the program. */
const MAX_RUNS = 3;

export function readHistory(): History {
  return existsSync(HISTORY_FILE) ? (JSON.parse(readFileSync(HISTORY_FILE, 'utf8')) as History) : {};
}

export function withRun(history: History, scenario: string, figures: readonly Figure[]): History {
  const rounded = figures.map(({ name, unit, value }) => ({ name, unit, value: Number(value.toPrecision(4)) }));
  const run = { date: new Date().toISOString().slice(0, 10), machine: machine(), figures: rounded };
  return { ...history, [scenario]: [...(history[scenario] ?? []), run].slice(-MAX_RUNS) };
}

function machine(): string {
  const [first] = cpus();
  const gib = Math.round(totalmem() / 2 ** 30);
  return `${first?.model.trim() ?? 'unknown'} x ${cpus().length}, ${gib} GiB, Node.js ${process.versions.node}`;
}

/** What runs say of one number: the mean, and half of the distance between the extremes, which one run alone does not show. */
export interface Spread {
  readonly runs: number;
  readonly mean: number;
  readonly spread: number;
}

export function spreadOf(values: readonly number[]): Spread {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return { runs: values.length, mean, spread: (Math.max(...values) - Math.min(...values)) / 2 };
}
