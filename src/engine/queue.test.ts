import { expect, it } from 'vitest';
import { makeNode, makePod, makeResources, makeTicket } from '../../test/support/builders.ts';
import { TestWorld } from '../../test/support/world.ts';
import type { PodUid } from '../domain/ids.ts';
import { RESTORE_GATE } from '../domain/labels.ts';
import { DecisionBook } from './decision-book.ts';
import { admissionSteps } from './queue.ts';
import { DEFAULT_ENGINE_SETTINGS, Steps } from './steps.ts';

it('looks for room once for pods that need the same, while there is none', () => {
  const { index } = new TestWorld().put('node', makeNode());
  const requests = makeResources({ cpuMilli: 5000 });
  const tolerations = makePod().tolerations;
  for (let i = 0; i < 20; i++) {
    const name = `t${i}`;
    const value = makePod({ name, ticket: name, gates: [RESTORE_GATE], requests, tolerations });
    index.apply({ type: 'upsert', kind: 'pod', value });
    const claim = { name, uid: value.uid };
    const victim = { ...makeTicket().pod, uid: `uid-old-${i}` as PodUid };
    index.apply({ type: 'upsert', kind: 'ticket', value: makeTicket({ name, claim, pod: victim, checkpoint: name }) });
  }
  let looks = 0;
  const nodes = index.nodes.bind(index);
  index.nodes = () => {
    looks++;
    return nodes();
  };
  const steps = new Steps();
  const settings = { ...DEFAULT_ENGINE_SETTINGS, maxGateMs: Number.MAX_SAFE_INTEGER };
  const world = { view: index, book: new DecisionBook(), nowMs: 10_000, steadyMs: 10_000, actingSinceMs: 0, settings };
  admissionSteps({ ...world, seen: new Set(), preempted: new Set() }, steps);
  expect(steps.commands).toEqual([]);
  expect(looks).toBe(1);
});
