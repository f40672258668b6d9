import { describe, expect, it } from 'vitest';
import { addCounts, EXCUSES, excuseReport, unless } from './excuses.ts';
import { INVARIANTS } from './invariants.ts';
import type { Truth } from './truth.ts';

const WHAT = 'nobody goes before all are saved';
const EXCUSE = 'a checkpoint beside it that is gone or going';

function recorded(): { readonly used: string[]; readonly truth: Truth } {
  const used: string[] = [];
  return { used, truth: { excuse: (name: string) => used.push(name) } as unknown as Truth };
}

describe('an excuse', () => {
  it('is one of an invariant that stands', () => {
    expect(EXCUSES.map(({ what }) => what).filter((what) => !(what in INVARIANTS))).toEqual([]);
  });

  it('is counted where it is needed, and only there', () => {
    const { used, truth } = recorded();
    expect(unless(truth, WHAT, null, { [EXCUSE]: () => true })).toBeNull();
    expect(used).toEqual([]);
    expect(unless(truth, WHAT, 'broken', { [EXCUSE]: () => false })).toBe('broken');
    expect(unless(truth, WHAT, 'broken', { [EXCUSE]: () => true })).toBeNull();
    expect(used).toEqual([`${WHAT}: ${EXCUSE}`]);
  });

  it('is reported where no run has needed it', () => {
    const counts = new Map<string, number>();
    const line = `never used: ${WHAT}, but for ${EXCUSE}`;
    expect(excuseReport(counts).split('\n')).toContain(line);
    addCounts(counts, { [`${WHAT}: ${EXCUSE}`]: 3 });
    expect(excuseReport(counts)).not.toContain(line);
    expect(excuseReport(counts)).toContain(`      3  ${WHAT}, but for ${EXCUSE}`);
  });
});
