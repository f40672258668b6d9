import { expect, it } from 'vitest';
import { quotaExcess } from './state-quota.ts';

const MIB = 2 ** 20;
const usage = new Map([
  ['shop_a_1', 10 * MIB],
  ['shop_b_2', 20 * MIB],
  ['bank_c_3', 40 * MIB],
  ['no reference', 5 * MIB],
]);
const wide = { bytes: null, states: 100 };
const state = { namespace: 'shop', reference: 'shop_d_4', bytes: 10 * MIB };

it.each([
  ['states of the namespace', { node: wide, namespace: { bytes: null, states: 3 } }],
  ['bytes of the namespace', { node: wide, namespace: { bytes: 40 * MIB, states: 100 } }],
  ['states of the node', { node: { bytes: null, states: 5 }, namespace: wide }],
  ['bytes of the node', { node: { bytes: 85 * MIB, states: 100 }, namespace: wide }],
])('lets a state be written up to the quota: %s', (_, quota) => {
  expect(quotaExcess(state, usage, quota)).toBeNull();
});

it.each([
  [
    { node: wide, namespace: { bytes: null, states: 2 } },
    'namespace shop has 2 states on this node, of 2: delete PodCheckpoints that are not needed, or raise agent.quota.namespace.states',
  ],
  [
    { node: wide, namespace: { bytes: 40 * MIB - 1, states: 100 } },
    'namespace shop has 30 MiB of states on this node, of 40 MiB, and this pod up to 10 MiB: delete PodCheckpoints that are not needed, or raise agent.quota.namespace.bytes',
  ],
  [
    { node: { bytes: null, states: 4 }, namespace: wide },
    'all namespaces have 4 states on this node, of 4: delete PodCheckpoints that are not needed, or raise agent.quota.node.states',
  ],
  [
    { node: { bytes: 85 * MIB - 1, states: 100 }, namespace: wide },
    'all namespaces have 75 MiB of states on this node, of 85 MiB, and this pod up to 10 MiB: delete PodCheckpoints that are not needed, or raise agent.quota.node.bytes',
  ],
])('refuses a state beyond %j', (quota, message) => {
  expect(quotaExcess(state, usage, quota)).toBe(message);
});

it('counts a state that is written anew once', () => {
  const quota = { node: wide, namespace: { bytes: 30 * MIB, states: 2 } };
  expect(quotaExcess({ namespace: 'shop', reference: 'shop_a_1', bytes: 10 * MIB }, usage, quota)).toBeNull();
});

it('counts what other namespaces have for the node only', () => {
  const quota = { node: wide, namespace: { bytes: 40 * MIB, states: 3 } };
  expect(quotaExcess({ namespace: 'bank', reference: 'bank_e_5', bytes: MIB }, usage, quota)).not.toBeNull();
  expect(quotaExcess({ namespace: 'farm', reference: null, bytes: MIB }, usage, quota)).toBeNull();
});
