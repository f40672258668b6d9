import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import type { Result } from './types.ts';

/** What the matrix is made of. */
export interface Results {
  /** Slug -> what came of it when it was played last. */
  readonly programs: Readonly<Record<string, Recorded>>;
  /** Slug -> packages that no registry had. */
  readonly leftOut: Readonly<Record<string, readonly string[]>>;
}

export interface Recorded extends Result {
  /** The day on which it was played. */
  readonly date: string;
  /** Processor, kernel, and version of CRIU. */
  readonly machine: string;
}

const FILE = join(import.meta.dirname, 'results.json');

export function readResults(): Results {
  if (!existsSync(FILE)) return { programs: {}, leftOut: {} };
  return JSON.parse(readFileSync(FILE, 'utf8')) as Results;
}

/** Keeps what came of a program, in place of what was recorded before. */
export function record(slug: string, result: Result, criu: string): void {
  const { programs, leftOut } = readResults();
  const [cpu] = cpus();
  const machine = `${cpu?.model.trim() ?? 'unknown'} x ${cpus().length}, Linux ${release()}, ${criu}`;
  const date = new Date().toISOString().slice(0, 10);
  write({ programs: { ...programs, [slug]: { ...result, date, machine } }, leftOut: without(leftOut, slug) });
}

/** Keeps that a program was not played, since no registry had these packages. */
export function recordLeftOut(slug: string, packages: readonly string[]): void {
  const { programs, leftOut } = readResults();
  write({ programs: without(programs, slug), leftOut: { ...leftOut, [slug]: packages } });
}

function without<T>(all: Readonly<Record<string, T>>, slug: string): Readonly<Record<string, T>> {
  return Object.fromEntries(Object.entries(all).filter(([name]) => name !== slug));
}

function write(results: Results): void {
  writeFileSync(FILE, `${JSON.stringify(results, null, 2)}\n`);
}
