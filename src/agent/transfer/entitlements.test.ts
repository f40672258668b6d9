import { expect, it } from 'vitest';
import { createLog } from '../../observe/log.ts';
import { RESOURCES } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/transport.ts';
import { VirtualClock } from '../../sim/virtual-clock.ts';
import { Entitlements, type AskedState } from './entitlements.ts';

const REFERENCE = 'shop_c_0c';
const ASKED: AskedState = { node: 'n2', reference: REFERENCE, ticket: 't' };

interface World {
  checkpoint: KubeObject | undefined;
  ticket: KubeObject | null;
  pod: KubeObject | null;
}

/** The pod `shop/web` of n2 continues what was saved on this node. */
function world(): World {
  const victim = { name: 'web', uid: 'uid-old' };
  return {
    checkpoint: { metadata: { namespace: 'shop', name: 'c', uid: '0c' }, spec: { pod: victim, node: 'n1' } },
    ticket: {
      metadata: { namespace: 'shop', name: 't', uid: 'uid-t' },
      spec: {
        pod: victim,
        checkpoint: 'c',
        restore: { nodes: 'Any', attempts: 3, onFailure: 'ColdStart', maxWait: '1h' },
      },
      status: {
        phase: 'Restoring',
        claim: { name: 'web', uid: 'uid-new' },
        state: { node: 'n1', reference: REFERENCE, manifestDigest: `sha256:${'0'.repeat(64)}` },
      },
    },
    pod: { metadata: { namespace: 'shop', name: 'web', uid: 'uid-new' }, spec: { nodeName: 'n2' } },
  };
}

function holder(of: World) {
  const clock = new VirtualClock();
  const lines: Record<string, unknown>[] = [];
  const log = createLog('info', { write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>) });
  let reads = 0;
  const read = (type: object, namespace: string, name: string): Promise<KubeObject | null> => {
    reads++;
    if (namespace !== 'shop') return Promise.resolve(null);
    if (type === RESOURCES.reprieves) return Promise.resolve(name === 't' ? of.ticket : null);
    return Promise.resolve(name === of.pod?.metadata.name ? of.pod : null);
  };
  const checkpoint = (uid: string) => (uid === of.checkpoint?.metadata.uid ? of.checkpoint : undefined);
  const entitlements = new Entitlements({ api: { read }, checkpoint, clock, log });
  return { entitlements, clock, lines, reads: () => reads };
}

const set = (object: KubeObject | null, part: 'spec' | 'status', fields: object): void => {
  if (object !== null) Object.assign(object[part] as object, fields);
};

it('gives a state to the node of the pod that continues it', async () => {
  expect(await holder(world()).entitlements.refusal(ASKED)).toBeNull();
});

it.each<[string, (given: World) => Partial<AskedState> | void]>([
  ['another node, with a certificate of its own', () => ({ node: 'n3' })],
  ['a node that names no ticket', () => ({ ticket: '' })],
  ['a node that names a ticket of another state', ({ ticket }) => set(ticket, 'spec', { checkpoint: 'd' })],
  ['a node that asks by the name of another checkpoint', () => ({ reference: 'shop_d_0c' })],
  ['a node that asks in another namespace', () => ({ reference: 'other_c_0c' })],
  ['a node that asks for a checkpoint of another UID', () => ({ reference: 'shop_c_0d' })],
  ['a node whose ticket says that its state is another', ({ ticket }) => set(ticket, 'status', { state: null })],
  ['the node of a ticket of another pod', ({ ticket }) => set(ticket, 'spec', { pod: { name: 'web', uid: 'else' } })],
  ['the node of a ticket that is not claimed', ({ ticket }) => set(ticket, 'status', { claim: null })],
  ['the node of a ticket that has ended', ({ ticket }) => set(ticket, 'status', { phase: 'Restored' })],
  [
    'the node of a pod whose restore failed',
    ({ ticket }) => set(ticket, 'status', { failedNodes: [{ node: 'n2', pod: 'uid-new', reason: 'RestoreFailed' }] }),
  ],
  [
    'the node of a pod that only has the name',
    ({ ticket }) => set(ticket, 'status', { claim: { name: 'web', uid: 'x' } }),
  ],
  ['any node while the pod is on none', ({ pod }) => set(pod, 'spec', { nodeName: undefined })],
  ['any node once the pod is gone', (given) => void (given.pod = null)],
  ['any node once the ticket is gone', (given) => void (given.ticket = null)],
  ['any node once the PodCheckpoint is gone', (given) => void (given.checkpoint = undefined)],
])('refuses a state to %s', async (_, change) => {
  const given = world();
  const asked = { ...ASKED, ...change(given) };
  const { entitlements, lines } = holder(given);
  expect(await entitlements.refusal(asked)).not.toBeNull();
  expect(lines).toMatchObject([{ node: asked.node, msg: 'a state was refused to another node' }]);
});

it('writes one line for a transfer of many files, and asks again now and then', async () => {
  const given = world();
  const { entitlements, clock, lines, reads } = holder(given);
  for (let file = 0; file < 30; file++) {
    expect(await entitlements.refusal(ASKED)).toBeNull();
    await clock.advance(1000);
  }
  expect(lines).toMatchObject([{ node: 'n2', reference: REFERENCE, ticket: 't', pod: 'shop/web' }]);
  expect(reads()).toBe(6);
  set(given.ticket, 'status', { phase: 'Abandoned' });
  await clock.advance(10_000);
  expect(await entitlements.refusal(ASKED)).not.toBeNull();
});
