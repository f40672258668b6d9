import { describe, expect, it } from 'vitest';
import { findInReplay, findInRun, isByDefect } from './run-defects.ts';

const EXPECTED = { plan: '17', invariant: 'one ticket claims a pod', message: 'a and b both claim c: twice' };

describe('what a run with a defect has found', () => {
  it('is the first plan that fails', () => {
    const output =
      'excuses\nseed 17: one ticket claims a pod: a and b both claim c: twice\nseed 19: other: thing\n19 seeds (1 to 19), 2 failed';
    expect(findInRun(output)).toEqual(EXPECTED);
    expect(findInRun('500 seeds (1 to 500), 0 failed')).toBeNull();
  });

  it('is no plan that a busy machine did not end', () => {
    const late = 'seed 3: every run comes to its end: no end after 60 s\n';
    expect(findInRun(`${late}seed 17: one ticket claims a pod: a and b both claim c: twice`)).toEqual(EXPECTED);
    expect(findInRun(late)).toBeNull();
  });

  it('stands in the story of a kept plan', () => {
    const story =
      '   45.424  reprieve-b#6 leads\n   45.424  VIOLATED one ticket claims a pod: a and b both claim c: twice';
    expect(findInReplay(story, '17')).toEqual(EXPECTED);
    expect(findInReplay('  270.000  mended', '17')).toBeNull();
  });
});

describe('what a plan breaks', () => {
  it.each([
    [true, 'nothing', null],
    [true, 'another invariant', 'everything settles'],
    [false, 'the same invariant', 'one ticket claims a pod'],
  ])('is by the defect: %s, where it breaks %s without', async (expected, _, without) => {
    expect(await isByDefect(EXPECTED, () => Promise.resolve(without))).toBe(expected);
  });
});
