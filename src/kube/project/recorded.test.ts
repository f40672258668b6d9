import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Cause } from '../../domain/displacement.ts';
import type { Ticket, TicketPhase } from '../../domain/ticket.ts';
import { RESOURCES } from '../resources.ts';
import type { KubeObject } from '../transport.ts';
import { checkpointOf } from './checkpoint.ts';
import { ticketOf } from './ticket.ts';

/**
 * Objects as programs of two earlier revisions of the CRDs wrote them, recorded from their embedded clusters (seed 1 of the demo; by
 * revision 9 one pod was displaced by hand as well, and one evicted). Revision 3 knew preemptions only.
 */
function recorded(revision: 3 | 9): readonly KubeObject[] {
  const file = new URL(`../../../test/fixtures/records/revision-${revision}.json`, import.meta.url);
  return JSON.parse(readFileSync(file, 'utf8')) as readonly KubeObject[];
}

const ticketsOf = (revision: 3 | 9) =>
  recorded(revision)
    .filter(({ kind }) => kind === RESOURCES.reprieves.kind)
    .map(ticketOf);
const checkpointsOf = (revision: 3 | 9) =>
  recorded(revision)
    .filter(({ kind }) => kind === RESOURCES.podCheckpoints.kind)
    .map(checkpointOf);

const summaryOf = ({ pod, phase, displacement: { cause, pods } }: Ticket): readonly [string, TicketPhase, unknown] => [
  pod.name,
  phase,
  { cause: cause.kind === 'Preemption' ? `for ${cause.preemptor.name} on ${cause.node}` : cause, on: pods[0]?.node },
];
const byHand: Cause = { kind: 'Manual', askedOn: 'Pod', why: 'its disk is slow' };
const evicted: Cause = { kind: 'Eviction', by: 'Eviction', requester: 'admin', why: 'EvictionByEvictionAPI' };

describe('tickets', () => {
  it('of revision 3 are read as preemptions', () => {
    expect(ticketsOf(3).map(summaryOf)).toEqual([
      ['batch-2', 'Saving', { cause: 'for checkout-775fd87488-969kv on node-6', on: 'node-6' }],
      ['crawler-6cdc946bd4-lqv8j', 'Waiting', { cause: 'for checkout-775fd87488-tm4mx on node-1', on: 'node-1' }],
      ['batch-2', 'Restored', { cause: 'for checkout-775fd87488-969kv on node-6', on: 'node-6' }],
    ]);
  });

  it('of revision 9 are read with their causes', () => {
    expect(ticketsOf(9).map(summaryOf)).toEqual([
      ['crawler-6cdc946bd4-7w7wb', 'Saving', { cause: byHand, on: 'node-5' }],
      ['crawler-6cdc946bd4-lqv8j', 'Waiting', { cause: 'for checkout-775fd87488-vqsj5 on node-1', on: 'node-1' }],
      ['crawler-6cdc946bd4-b6btf', 'Restoring', { cause: evicted, on: 'node-4' }],
    ]);
  });

  it.each([3, 9] as const)('of revision %s keep what was promised to the pod', (revision) => {
    for (const { flaw, displacement, checkpoint, restore } of ticketsOf(revision)) {
      expect(flaw).toBeNull();
      const rules = { sockets: 'Close', volumes: 'EmptyDir', maxBytes: 0 };
      const kept = { nodes: 'Any', attempts: 2, onFailure: 'ColdStart', maxWaitMs: 86_400_000, identityLabels: [] };
      const terms = { policy: 'batch', maxDelayMs: 60_000, checkpoint: rules, restore: kept };
      expect(restore).toEqual(kept);
      expect(displacement.pods).toMatchObject([{ plan: 'Save', checkpoint, terms }]);
      expect(displacement.deadlineMs - displacement.decidedMs).toBe(64_196);
    }
  });

  it('of both revisions wait for the same pod, though revision 3 had another digest of it', () => {
    const shapes = [...ticketsOf(3), ...ticketsOf(9)].map(({ restoreShape }) => restoreShape);
    expect(new Set(shapes).size).toBe(1);
  });

  it('that a pod has claimed say which', () => {
    const claims = [...ticketsOf(3), ...ticketsOf(9)].map(({ claim }) => claim?.name ?? null);
    const crawlers = ['dsfhj', 'cdmrn', '9zppg'].map((suffix) => `crawler-6cdc946bd4-${suffix}`);
    expect(claims).toEqual([null, crawlers[0], 'batch-2', null, crawlers[1], crawlers[2]]);
  });
});

describe.each([3, 9] as const)('PodCheckpoints of revision %s', (revision) => {
  it('are requests of tickets to keep the pod frozen until a deadline', () => {
    for (const checkpoint of checkpointsOf(revision)) {
      const { name, owner, keepFrozen, deadlineMs, creationMs } = checkpoint;
      expect(name.startsWith(`${owner?.ticket}-`)).toBe(true);
      expect([keepFrozen, (deadlineMs ?? 0) > creationMs]).toEqual([true, true]);
      expect(checkpoint).toMatchObject({ nodeName: expect.stringMatching(/^node-\d$/), release: null, failure: null });
    }
  });

  it('of tickets have the name that the ticket says', () => {
    const names = new Map(checkpointsOf(revision).map(({ name, owner }) => [owner?.ticket, name]));
    const told = ticketsOf(revision).filter(({ name }) => names.has(name));
    expect(told.length).toBeGreaterThan(1);
    for (const ticket of told) expect(names.get(ticket.name)).toBe(ticket.checkpoint);
  });

  it('say how far they are, and where a state lies', () => {
    for (const { ready, frozen, location, bytes, nodeName } of checkpointsOf(revision)) {
      expect(ready || frozen).toBe(true);
      expect([location?.node, bytes]).toEqual(ready ? [nodeName, 530_579_456] : [undefined, 0]);
    }
    expect(checkpointsOf(revision).map(({ ready, frozen }) => [ready, frozen])).toContainEqual([true, true]);
  });
});
