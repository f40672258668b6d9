import { expect, it } from 'vitest';
import { samplesOf } from '../../test/support/measured.ts';
import { measureLeadership } from './leader-metrics.ts';
import { Metrics } from './metrics.ts';

it('shows who leads, and counts how often that changed', async () => {
  const metrics = new Metrics();
  let isLeader = false;
  let changed = (): void => undefined;
  measureLeadership(metrics, { isLeader: () => isLeader, onChange: (listener) => (changed = listener) });
  expect(await samplesOf(metrics, 'reprieve_leader')).toEqual(['0']);
  for (const next of [true, false, true]) {
    isLeader = next;
    changed();
  }
  expect(await samplesOf(metrics, 'reprieve_leader')).toEqual(['1']);
  expect(await samplesOf(metrics, 'reprieve_leader_transitions_total')).toEqual(['3']);
});
