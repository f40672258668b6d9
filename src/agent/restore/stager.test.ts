import { describe, expect, it } from 'vitest';
import { restoreShapeOf } from '../../kube/project/restore-shape.ts';
import { RESOURCES } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/transport.ts';
import type { NodeApi } from '../node-api.ts';
import { SavedPodLayout } from '../state/layout.ts';
import { makeManifest } from '../state/make-manifest.ts';
import type { OpenedState, WantedState } from '../state/state-store.ts';
import { Stager } from './stager.ts';

const STATE = {
  node: 'n1',
  reference: 'default_c_uid-c',
  manifestDigest: `sha256:${'0'.repeat(64)}`,
  compatibility: 'x86',
};
const victim = { name: 'worker', uid: 'uid-victim' };
const pod = (annotations: Record<string, string> = {}): KubeObject => ({
  metadata: {
    namespace: 'default',
    name: 'worker',
    uid: 'uid-new',
    annotations: { 'reprieve.dev/ticket': 't', ...annotations },
  },
});
const ticket = (nodes: string, failedNodes: readonly object[] = []): KubeObject => ({
  metadata: { namespace: 'default', name: 't', uid: 'uid-t' },
  spec: { pod: victim, checkpoint: 'c', restore: { nodes, attempts: 3, onFailure: 'ColdStart', maxWait: '1h' } },
  status: { phase: 'Restoring', claim: { name: 'worker', uid: 'uid-new' }, failedNodes, state: STATE },
});
const checkpoint: KubeObject = {
  metadata: { namespace: 'default', name: 'c', uid: 'uid-c' },
  spec: { pod: victim, node: 'n1' },
  status: {
    conditions: [{ type: 'Ready', status: 'True' }],
    location: { node: 'n1', reference: 'default_c_uid-c' },
    compatibility: 'x86',
  },
};

async function staged(
  on: KubeObject,
  record: KubeObject,
  saved: KubeObject = checkpoint,
  opened: OpenedState = { refusal: { reason: 'FetchFailed', message: 'of the test' } },
  wanted: WantedState[] = [],
): Promise<unknown> {
  const objects = new Map([
    [RESOURCES.reprieves, record],
    [RESOURCES.podCheckpoints, saved],
  ]);
  const api = { read: (kind: (typeof RESOURCES)['reprieves']) => Promise.resolve(objects.get(kind) ?? null) };
  const stager = new Stager({
    nodeName: 'n2',
    api: api as unknown as NodeApi,
    compatibility: () => 'x86',
    store: {
      open: (state) => {
        wanted.push(state);
        return Promise.resolve(opened);
      },
    },
  });
  return (await stager.stage(on, new AbortController().signal)).refusal;
}

describe('a node refuses to stage a state', () => {
  it('that lies on another node, and that its policy restores there only', async () => {
    const message = 'its policy restores it on node n1 only';
    expect(await staged(pod(), ticket('Same'))).toEqual({ reason: 'Incompatible', message });
    expect(await staged(pod(), ticket('Any'))).not.toMatchObject({ reason: 'Incompatible' });
  });

  it('that it failed to restore before, for a pod that may run anywhere', async () => {
    const failed = ticket('Any', [{ node: 'n2', pod: 'uid-before', reason: 'RestoreFailed' }]);
    const refusal = { reason: 'RestoreFailed', message: 'it failed here before: RestoreFailed' };
    expect(await staged(pod({ 'reprieve.dev/gate-expired': 'true' }), failed)).toEqual(refusal);
    expect(await staged(pod(), failed)).not.toMatchObject(refusal);
  });

  it('of a pod of another template, also where the ticket names that pod as its claimant', async () => {
    const container = { name: 'web', args: ['--serve'], env: [{ name: 'ROLE', value: 'reader' }] };
    const of = (changed: object): KubeObject => ({ ...pod(), spec: { containers: [{ ...container, ...changed }] } });
    const { spec, ...record } = ticket('Any') as KubeObject & { readonly spec: object };
    const given = { ...record, spec: { ...spec, restoreShape: restoreShapeOf(of({})) } };
    expect(await staged(of({}), given)).toMatchObject({ reason: 'FetchFailed' });
    expect(await staged(of({ args: ['--delete'], env: [{ name: 'ROLE', value: 'writer' }] }), given)).toEqual({
      reason: 'TemplateDiffers',
      message: 'ticket t is of a pod that differs in: args, env',
    });
    const before = { ...record, spec: { ...spec, restoreShape: 'of another version' } };
    expect(await staged(of({ args: [] }), before)).toMatchObject({ reason: 'FetchFailed' });
  });

  it('that another PodCheckpoint holds, whatever the ticket says', async () => {
    const { status, ...record } = ticket('Any') as KubeObject & { readonly status: object };
    const forged = { ...record, status: { ...status, state: { ...STATE, reference: 'payments_db_uid-db' } } };
    expect(await staged(pod(), forged)).toMatchObject({ reason: 'CheckpointMissing' });
  });

  it('while the ticket does not say which it is', async () => {
    const { status, ...record } = ticket('Any') as KubeObject & { readonly status: object };
    await expect(staged(pod(), { ...record, status: { ...status, state: null } })).rejects.toThrow(
      'where the state lies',
    );
  });

  it('of a container that the pod does not have', async () => {
    const key = { namespace: 'default', name: 'c', uid: 'abc' };
    const opened = { layout: new SavedPodLayout('/state', key), manifest: makeManifest() };
    const other = { ...pod(), spec: { containers: [{ name: 'other' }] } };
    expect(await staged(other, ticket('Any'), checkpoint, opened)).toEqual({
      reason: 'ImagesDiffer',
      message: 'container web was saved, and the pod has none of that name',
    });
    const same = { ...pod(), spec: { containers: [{ name: 'web' }] } };
    expect(await staged(same, ticket('Any'), checkpoint, opened)).toBeNull();
  });
});

it('a node opens the state that the ticket names, whatever its PodCheckpoint says now', async () => {
  const { status } = checkpoint as unknown as { readonly status: object };
  const location = { node: 'n3', reference: 'default_c_uid-c' };
  const digest = `sha256:${'1'.repeat(64)}`;
  const forged = { ...checkpoint, status: { ...status, location, manifestDigest: digest, bytes: 7 } };
  const wanted: WantedState[] = [];
  await staged(pod(), ticket('Any'), forged, { refusal: { reason: 'FetchFailed', message: '' } }, wanted);
  expect(wanted).toEqual([
    {
      location: { node: 'n1', reference: STATE.reference },
      manifestDigest: STATE.manifestDigest,
      bytes: 7,
      podUid: 'uid-new',
      ticket: 't',
    },
  ]);
});
