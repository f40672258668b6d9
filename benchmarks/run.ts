/**
 * `npm run bench`: prints what the hot path costs. `npm run bench:check`: fails when a figure leaves its range in
 * `ranges.json`. Ranges are ratios to a reference of the same run, so that they hold on slower machines.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { decideSamples } from './decide.ts';
import { measure, type Measured } from './measure.ts';

interface Range {
  readonly sample: string;
  readonly reference: string;
  /** Highest allowed p50 of the sample over p50 of the reference. */
  readonly maxRatio: number;
  /** What was measured when the range was set. */
  readonly measured: { readonly ratio: number; readonly machine: string; readonly date: string };
}

const results = [10, 100].flatMap((nodes) => measure(decideSamples(nodes)));
console.log(`${'microseconds'.padEnd(60)}${'p50'.padStart(8)}${'p99'.padStart(8)}`);
for (const { name, p50, p99 } of results)
  console.log(`${name.padEnd(60)}${String(p50).padStart(8)}${String(p99).padStart(8)}`);

if (process.argv.includes('--check')) {
  const ranges = JSON.parse(readFileSync(join(import.meta.dirname, 'ranges.json'), 'utf8')) as readonly Range[];
  const p50 = (name: string): number => {
    const result = results.find((candidate: Measured) => candidate.name === name);
    if (result === undefined) throw new Error(`ranges.json names "${name}", which is not measured`);
    return Math.max(1, result.p50);
  };
  let failed = 0;
  for (const { sample, reference, maxRatio } of ranges) {
    const ratio = p50(sample) / p50(reference);
    const isGood = ratio <= maxRatio;
    if (!isGood) failed++;
    console.log(
      `${isGood ? 'ok    ' : 'FAILED'}  ${sample}: ${ratio.toFixed(2)} times the reference, at most ${maxRatio}`,
    );
  }
  console.log(`bench:check: ${ranges.length - failed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}
