import { describe, expect, it } from 'vitest';
import { displacementIn } from '../ticket-object.ts';
import { ticketOf } from './ticket.ts';

const pod = {
  namespace: 'default',
  name: 'web-0',
  uid: '5c8f-000000000001',
  node: 'n1',
  plan: 'Save',
  checkpoint: 'web-0-000000000001-d1',
  onFailure: 'Refuse',
};
const other = { ...pod, name: 'web-1', uid: '5c8f-000000000002', checkpoint: 'web-1-000000000002-d1' };
const preemptor = { namespace: 'default', name: 'high', uid: 'high', priority: 1000 };
const times = { decidedAt: '2026-01-01T00:00:00.000Z', deadline: '2026-01-01T00:01:02.000Z' };
const preemption = { preemptor, node: 'n1', numPDBViolations: 1 };
const whole = { id: 'd1', cause: { preemption }, pods: [pod, other], commit: 'AllSaved', ...times };

function ticketWith(record: object, spec: object = {}): ReturnType<typeof ticketOf> {
  return ticketOf({
    metadata: { name: 'web-0-000000000001', namespace: 'default', uid: 'u', resourceVersion: '1' },
    spec: { pod: { name: pod.name, uid: pod.uid }, checkpoint: pod.checkpoint, ...record, ...spec },
  });
}

function ticket(displacement: object, spec: object = {}): ReturnType<typeof ticketOf> {
  return ticketWith({ displacement: { ...whole, ...displacement } }, spec);
}

const without = (field: string, from: object): object =>
  Object.fromEntries(Object.entries(from).filter(([name]) => name !== field));

describe('a displacement that is recorded whole', () => {
  it('has no flaw', () => {
    expect(ticket({}).flaw).toBeNull();
    expect(ticket({ pods: [pod, { ...without('checkpoint', other), plan: 'Evict' }] }).flaw).toBeNull();
  });

  it('is read as it was written', () => {
    const { displacement } = ticket({});
    const record = JSON.parse(JSON.stringify(displacementIn(displacement))) as object;
    expect(ticketWith({ displacement: record }).displacement).toEqual(displacement);
  });
});

/** Recorded from a cluster of the version before: CRDs of revision 4. */
describe('a displacement that an earlier version recorded', () => {
  const old = (given: typeof pod, action: string): object => {
    return { ...without('node', without('plan', given)), action };
  };
  const { id } = whole;
  const decision = { id, ...preemption, victims: [old(pod, 'checkpoint'), old(other, 'reuse')], ...times };

  it('is the same displacement', () => {
    const { displacement, flaw } = ticketWith({ decision });
    expect(flaw).toBeNull();
    expect(displacement).toEqual(ticket({ pods: [pod, { ...other, plan: 'Reuse' }] }).displacement);
  });

  it('may evict a pod as it is', () => {
    const victims = [old(pod, 'checkpoint'), without('checkpoint', old(other, 'evict'))];
    const { displacement, flaw } = ticketWith({ decision: { ...decision, victims } });
    expect(flaw).toBeNull();
    expect(displacement.pods[1]).toMatchObject({ plan: 'Evict', checkpoint: null });
  });

  it('is flawed as a new one is', () => {
    expect(ticketWith({ decision: { ...decision, victims: [] } }).flaw).toMatch(/not among those/);
    expect(ticketWith({ decision: { ...decision, deadline: 'soon' } }).flaw).toMatch(/no deadline/);
  });
});

describe('a pod that is to be saved, with no checkpoint named', () => {
  const unnamed = [pod, without('checkpoint', other)];

  it('is to be saved all the same, under the name that it would have been given', () => {
    expect(ticket({ pods: unnamed }).displacement.pods[1]).toMatchObject({
      plan: 'Save',
      checkpoint: other.checkpoint,
      onFailure: 'Refuse',
    });
  });

  it('is not covered by a checkpoint that nobody knows', () => {
    const reused = [pod, { ...without('checkpoint', other), plan: 'Reuse' }];
    expect(ticket({ pods: reused }).displacement.pods[1]?.plan).toBe('Save');
  });

  it('makes the record flawed', () => {
    expect(ticket({ pods: unnamed }).flaw).toBe('pod web-1 is to be saved, and no checkpoint is named');
  });
});

describe('a record that cannot be true', () => {
  const caused = (change: object): object => ({ cause: { preemption: { ...preemption, ...change } } });
  const flaws: Record<string, { readonly displacement?: object; readonly spec?: object; readonly want: RegExp }> = {
    'without an id': { displacement: { id: '' }, want: /no id/ },
    'without a cause': { displacement: { cause: {} }, want: /no node or preemptor/ },
    'without a node': { displacement: caused({ node: '' }), want: /no node/ },
    'without a preemptor': { displacement: caused({ preemptor: {} }), want: /or preemptor/ },
    'without pods': { displacement: { pods: null }, want: /names a pod twice, or one without/ },
    'that names a pod twice': { displacement: { pods: [pod, pod] }, want: /twice/ },
    'whose preemptor is its own victim': {
      displacement: caused({ preemptor: { ...preemptor, uid: other.uid } }),
      want: /its own victim/,
    },
    'with a pod on another node than its cause': {
      displacement: { pods: [pod, { ...other, node: 'n2' }] },
      want: /on another node/,
    },
    'of a pod that it does not name': { displacement: { pods: [other] }, want: /not among those/ },
    'of a pod of another namespace': {
      displacement: { pods: [{ ...pod, namespace: 'kube-system' }] },
      want: /not among those/,
    },
    'of a pod that is to be evicted unsaved': {
      displacement: { pods: [{ ...without('checkpoint', pod), plan: 'Evict' }] },
      want: /without being saved/,
    },
    'with another checkpoint than its displacement': { spec: { checkpoint: 'mine' }, want: /another checkpoint/ },
    'without a deadline': { displacement: { deadline: 'soon' }, want: /no deadline/ },
    'whose deadline comes before its displacement': {
      displacement: { deadline: '2025-12-31T23:59:59.000Z' },
      want: /out of bounds/,
    },
    'whose deadline is years away': { displacement: { deadline: '2036-01-01T00:00:00.000Z' }, want: /out of bounds/ },
  };
  for (const [sentence, { displacement = {}, spec = {}, want }] of Object.entries(flaws)) {
    it(`is flawed: one ${sentence}`, () => expect(ticket(displacement, spec).flaw).toMatch(want));
  }
});
