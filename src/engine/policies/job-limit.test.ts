import { expect, it } from 'vitest';
import { makePod } from '../../../test/support/builders.ts';
import { TestWorld } from '../../../test/support/world.ts';
import { ownerKey } from '../../domain/ids.ts';
import type { EvictionLimit } from '../../domain/owner-facts.ts';
import { endsItsJob } from './job-limit.ts';

const owner = { apiVersion: 'batch/v1', kind: 'Job', name: 'train', uid: 'uid-train' };
const pods = [0, 2].map((indexFailures) => ({ ...makePod({ owner }), indexFailures }));

it.each<[string, Omit<EvictionLimit, 'message'> | null, readonly boolean[]]>([
  ['that bears no eviction ends by that of any pod', { bears: 0, bearsOfIndex: null }, [true, true]],
  ['ends by that of a pod whose index bears no failure more', { bears: 9, bearsOfIndex: 2 }, [false, true]],
  ['without a retry of any index ends by that of any pod', { bears: 9, bearsOfIndex: 0 }, [true, true]],
  ['that bears one eviction does not end by it', { bears: 1, bearsOfIndex: null }, [false, false]],
  ['that bears all does not end', null, [false, false]],
])('a Job %s', (_, limit, ends) => {
  const { index } = new TestWorld();
  const failsByEviction = limit && { ...limit, message: 'Job train fails' };
  const facts = { what: 'Job train', end: null, count: null, numbers: null, failsByEviction };
  index.setOwner(ownerKey('default', owner), facts);
  expect(pods.map((pod) => endsItsJob(index, pod))).toEqual(ends);
  index.setOwner(ownerKey('default', owner), null);
  expect(pods.map((pod) => endsItsJob(index, pod))).toEqual([false, false]);
});
