import type { Figure } from './figures.ts';

/** What a figure may be, as a ratio to a reference of the same run. */
export interface Range {
  readonly figure: string;
  /** Absent where the figure is such a ratio itself, or has a goal in its own unit. */
  readonly reference?: string;
  /** Of what should be small. */
  readonly maxRatio?: number;
  /** Of what should be large. */
  readonly minRatio?: number;
  /** What was measured when the range was set: mean and half the distance of the extremes. Absent before the first recorded run. */
  readonly measured?: {
    readonly mean: number;
    readonly spread: number;
    readonly runs: number;
    readonly machine: string;
    readonly date: string;
  };
}

/** Says of each range whether it holds; those about what was not measured in this run are passed over. */
export function checkRanges(
  ranges: readonly Range[],
  figures: readonly Figure[],
  log: (line: string) => void,
): boolean {
  const values = new Map(figures.map(({ name, value }) => [name, value]));
  let passed = 0;
  let failed = 0;
  for (const range of ranges) {
    const ratio = ratioOf(range, values);
    if (ratio === null) continue;
    const { maxRatio = Infinity, minRatio = 0 } = range;
    const isGood = ratio >= minRatio && ratio <= maxRatio;
    if (isGood) passed++;
    else failed++;
    const bound = range.minRatio === undefined ? `at most ${maxRatio}` : `at least ${minRatio}`;
    const times = range.reference === undefined ? '' : ` times "${range.reference}"`;
    log(`${isGood ? 'ok    ' : 'FAILED'}  ${range.figure}: ${ratio.toFixed(2)}${times}, ${bound}`);
  }
  log(`bench:check: ${passed} passed, ${failed} failed`);
  return failed === 0 && passed > 0;
}

/** Null where neither was measured; throws where only one was. */
export function ratioOf(
  { figure, reference }: Pick<Range, 'figure' | 'reference'>,
  values: ReadonlyMap<string, number>,
): number | null {
  const value = values.get(figure);
  if (reference === undefined) return value ?? null;
  const base = values.get(reference);
  if (value === undefined && base === undefined) return null;
  if (value === undefined || base === undefined)
    throw new Error(`ranges.json compares "${figure}" with "${reference}", and one of them is not measured`);
  return value / Math.max(base, Number.EPSILON);
}
