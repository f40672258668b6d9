import { expect, it } from 'vitest';
import { makeDisplacement, makeNode, makePod, makePolicy, makeUnsavedVictim } from '../../../test/support/builders.ts';
import { TestWorld } from '../../../test/support/world.ts';
import { unprotectedEviction } from './unprotected-eviction.ts';

const standing = makePod({ name: 'plain', uid: 'uid-plain', nodeName: 'n1' });
const going = { ...standing, deletionMs: 1, disruptionTarget: true };

it('tells of a pod that is protected by the time its deletion is seen', () => {
  const { index, book } = new TestWorld().put('node', makeNode()).put('policy', makePolicy()).put('pod', going);
  expect(unprotectedEviction(index, book, going, standing)).toMatchObject({
    victim: { name: 'plain' },
    policy: 'everything',
    reason: 'ProtectedLate',
  });
});

it('tells of a protected pod that the displacement of an earlier leader evicts as it is', () => {
  const { index, book } = new TestWorld().put('node', makeNode()).put('policy', makePolicy()).put('pod', going);
  book.open(makeDisplacement({ pods: [makeUnsavedVictim('plain')] }));
  expect(unprotectedEviction(index, book, going, standing)).toMatchObject({
    victim: { name: 'plain' },
    policy: 'everything',
    reason: 'PlannedUnsaved',
  });
});
