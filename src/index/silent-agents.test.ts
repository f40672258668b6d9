import { expect, it } from 'vitest';
import { makeNode } from '../../test/support/builders.ts';
import { ClusterIndex } from './cluster-index.ts';
import type { IndexEvent } from './types.ts';

const { name, uid } = makeNode();
const put = (index: ClusterIndex, resourceVersion: string): boolean =>
  index.apply({ type: 'upsert', kind: 'node', value: makeNode({ resourceVersion }) });
const isSilent = (index: ClusterIndex): boolean | undefined => index.node(name)?.node.agentSilent;

it('remembers a silent agent whatever the API server says of the node', () => {
  const index = new ClusterIndex();
  put(index, '1');
  expect(isSilent(index)).toBe(false);
  index.setAgentSilent(name, true);
  expect(isSilent(index)).toBe(true);
  put(index, '2');
  expect(isSilent(index)).toBe(true);
  index.apply({ type: 'delete', kind: 'node', uid, resourceVersion: '3' });
  index.apply({ type: 'upsert', kind: 'node', value: makeNode({ uid: 'again', resourceVersion: '4' }) });
  expect(isSilent(index)).toBe(true);
  index.setAgentSilent(name, false);
  expect(isSilent(index)).toBe(false);
});

it('also before the node is seen', () => {
  const index = new ClusterIndex();
  index.setAgentSilent(name, true);
  put(index, '1');
  expect(isSilent(index)).toBe(true);
});

it('tells listeners once of each change, and takes later versions of the node', () => {
  const index = new ClusterIndex();
  put(index, '1');
  const heard: IndexEvent[] = [];
  index.onChange((event) => heard.push(event));
  index.setAgentSilent(name, true);
  index.setAgentSilent(name, true);
  expect(heard).toMatchObject([{ type: 'upsert', kind: 'node', value: { name, agentSilent: true } }]);
  expect(put(index, '1')).toBe(false);
  expect(put(index, '2')).toBe(true);
});
