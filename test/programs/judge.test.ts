import { describe, expect, it } from 'vitest';
import { differences, factsIn, isComplete } from './judge.ts';

const judge = { grows: ['count'], same: ['pid'], is: { intact: 'yes' } };
const before = { count: '9', pid: '7', intact: 'yes' };

describe('what a program says of itself', () => {
  it('is read line by line', () => {
    expect(factsIn('count 9\npid  7 \nnoise\n\nintact yes\n')).toEqual(before);
  });

  it('is complete with every name that is judged', () => {
    expect(isComplete(judge, before)).toBe(true);
    expect(isComplete(judge, { count: '9', pid: '7' })).toBe(false);
  });
});

describe('a program is whole', () => {
  it.each([
    ['where its numbers go on and the rest is what it was', { ...before, count: '10' }, []],
    ['not where a number stands still', before, ['count was 9, is 9']],
    ['not where a value is another', { ...before, count: '10', pid: '8' }, ['pid was 7, is 8']],
    [
      'not where it says nothing',
      {},
      ['count was 9, is nothing', 'pid was 7, is nothing', 'intact must be yes, is nothing'],
    ],
  ])('%s', (_, after, wrong) => {
    expect(differences(judge, before, after)).toEqual(wrong);
  });
});
