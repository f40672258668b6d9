import { describe, expect, it } from 'vitest';
import { ticketOf } from './ticket.ts';

const victim = {
  namespace: 'default',
  name: 'web-0',
  uid: '5c8f-000000000001',
  action: 'checkpoint',
  checkpoint: 'web-0-000000000001-d1',
  onFailure: 'Refuse',
};
const other = { ...victim, name: 'web-1', uid: '5c8f-000000000002', checkpoint: 'web-1-000000000002-d1' };
const preemptor = { namespace: 'default', name: 'high', uid: 'high', priority: 1000 };
const whole = {
  id: 'd1',
  preemptor,
  node: 'n1',
  victims: [victim, other],
  numPDBViolations: 0,
  decidedAt: '2026-01-01T00:00:00.000Z',
  deadline: '2026-01-01T00:01:02.000Z',
};

function ticket(decision: object, spec: object = {}): ReturnType<typeof ticketOf> {
  const pod = { name: victim.name, uid: victim.uid };
  const object = {
    metadata: { name: 'web-0-000000000001', namespace: 'default', uid: 'u', resourceVersion: '1' },
    spec: { pod, checkpoint: victim.checkpoint, decision: { ...whole, ...decision }, ...spec },
  };
  return ticketOf(object);
}

const without = (field: string, from: object): object =>
  Object.fromEntries(Object.entries(from).filter(([name]) => name !== field));

describe('a decision that is recorded whole', () => {
  it('has no flaw', () => {
    expect(ticket({}).flaw).toBeNull();
    expect(ticket({ victims: [victim, { ...without('checkpoint', other), action: 'evict' }] }).flaw).toBeNull();
  });
});

describe('a victim that is to be saved, with no checkpoint named', () => {
  const unnamed = [victim, without('checkpoint', other)];

  it('is to be saved all the same, under the name that it would have been given', () => {
    expect(ticket({ victims: unnamed }).decision.victims[1]).toMatchObject({
      action: 'checkpoint',
      checkpoint: other.checkpoint,
      onFailure: 'Refuse',
    });
  });

  it('is not covered by a checkpoint that nobody knows', () => {
    const reused = [victim, { ...without('checkpoint', other), action: 'reuse' }];
    expect(ticket({ victims: reused }).decision.victims[1]?.action).toBe('checkpoint');
  });

  it('makes the record flawed', () => {
    expect(ticket({ victims: unnamed }).flaw).toBe('victim web-1 is to be saved, and no checkpoint is named');
  });
});

describe('a record that cannot be true', () => {
  const flaws: Record<string, { readonly decision?: object; readonly spec?: object; readonly want: RegExp }> = {
    'without an id': { decision: { id: '' }, want: /no id/ },
    'without a node': { decision: { node: '' }, want: /no id, node/ },
    'without a preemptor': { decision: { preemptor: {} }, want: /or preemptor/ },
    'without victims': { decision: { victims: null }, want: /names a victim twice, or one without/ },
    'that names a victim twice': { decision: { victims: [victim, victim] }, want: /twice/ },
    'whose preemptor is its own victim': {
      decision: { preemptor: { ...preemptor, uid: other.uid } },
      want: /its own victim/,
    },
    'of a pod that is no victim': { decision: { victims: [other] }, want: /not among the victims/ },
    'of a pod of another namespace': {
      decision: { victims: [{ ...victim, namespace: 'kube-system' }] },
      want: /not among the victims/,
    },
    'of a pod that is to go unsaved': {
      decision: { victims: [{ ...without('checkpoint', victim), action: 'evict' }] },
      want: /without being saved/,
    },
    'with another checkpoint than its decision': { spec: { checkpoint: 'mine' }, want: /another checkpoint/ },
    'without a deadline': { decision: { deadline: 'soon' }, want: /no deadline/ },
    'whose deadline comes before its decision': {
      decision: { deadline: '2025-12-31T23:59:59.000Z' },
      want: /out of bounds/,
    },
    'whose deadline is years away': { decision: { deadline: '2036-01-01T00:00:00.000Z' }, want: /out of bounds/ },
  };
  for (const [sentence, { decision = {}, spec = {}, want }] of Object.entries(flaws)) {
    it(`is flawed: one ${sentence}`, () => expect(ticket(decision, spec).flaw).toMatch(want));
  }
});
