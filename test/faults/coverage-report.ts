import type { Coverage } from './coverage.ts';
import { FAULTS, type FaultName } from './fault-table.ts';
import { STATES, type StateName } from './states.ts';

const NAMES = Object.keys(FAULTS) as FaultName[];
const STATE_NAMES = Object.keys(STATES) as StateName[];

/** How many pairs of a fault and a state were met, of those that can be. */
function coverageShare(coverage: Coverage): {
  readonly met: number;
  readonly of: number;
  readonly missing: readonly string[];
} {
  const pairs = NAMES.flatMap((fault) => STATE_NAMES.map((state) => `${fault} × ${state}`));
  const missing = NAMES.flatMap((fault) =>
    STATE_NAMES.filter((state) => !coverage.pairs.has(`${fault} ${state}`)).map((state) => `${fault} × ${state}`),
  );
  return { met: pairs.length - missing.length, of: pairs.length, missing };
}

/** A table of faults and states, and what was never met. */
export function coverageReport(coverage: Coverage): string {
  const width = Math.max(...NAMES.map((name) => name.length));
  const head = STATE_NAMES.map((state) => state.slice(0, 7).padStart(8)).join('');
  const lines = NAMES.map((fault) => {
    const cells = STATE_NAMES.map((state) => String(coverage.pairs.get(`${fault} ${state}`) ?? '-').padStart(8));
    return `${fault.padEnd(width)}${cells.join('')}`;
  });
  const entered = STATE_NAMES.map((state) => String(coverage.states.get(state) ?? 0).padStart(8)).join('');
  const { met, of, missing } = coverageShare(coverage);
  return [
    `${' '.repeat(width)}${head}`,
    ...lines,
    `${'(times entered)'.padEnd(width)}${entered}`,
    `fault × state: ${met} of ${of} pairs (${((met / of) * 100).toFixed(1)} %)`,
    ...missing.map((pair) => `never: ${pair}`),
  ].join('\n');
}
