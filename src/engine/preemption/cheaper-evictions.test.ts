import { expect, it } from 'vitest';
import { uidOf } from '../../../test/support/world.ts';
import { CheaperEvictions } from './cheaper-evictions.ts';

it('an answer lets a pod go unsaved for a minute, also where no other answer follows', () => {
  const evictions = new CheaperEvictions();
  const [victim, preemptor] = ['pod', 'high'].map((name) => ({ namespace: 'default', name, uid: uidOf(name) }));
  if (victim === undefined || preemptor === undefined) throw new Error('two names');
  evictions.expect([{ victim, preemptor, policy: 'everything', evictCost: 1, savingCost: 2 }], 1_000);
  expect(evictions.isExpected(victim.uid, 60_000)).toBe(true);
  expect(evictions.isExpected(victim.uid, 61_000)).toBe(false);
});
