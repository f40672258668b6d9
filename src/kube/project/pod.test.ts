import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { KubeObject } from '../transport.ts';
import type { Pod } from '../../domain/pod.ts';
import { podOf } from './pod.ts';

const FIXTURES = join(import.meta.dirname, '../../../test/fixtures/wire');

function recorded(file: string): { readonly Pod: KubeObject; readonly [field: string]: unknown } {
  return JSON.parse(readFileSync(join(FIXTURES, file), 'utf8')) as { Pod: KubeObject };
}

function pod(parts: { metadata?: object; spec?: object; status?: object } = {}): KubeObject {
  const { metadata, ...rest } = parts;
  return { metadata: { name: 'web', namespace: 'default', uid: 'u1', resourceVersion: '7', ...metadata }, ...rest };
}

describe('podOf', () => {
  it('reads a pod as kube-scheduler sent it', () => {
    expect(podOf(recorded('filter.job-pod.json').Pod)).toMatchObject({
      uid: 'eeeebbb0-3912-4979-976d-2f0a0e3e96ec',
      namespace: 'default',
      name: 'train-57kxr',
      resourceVersion: '803',
      owner: { apiVersion: 'batch/v1', kind: 'Job', name: 'train', uid: '3f50d4c1-f1f7-4d0e-be77-36fb838fd439' },
      schedulerName: 'default-scheduler',
      priority: 10,
      priorityClassName: 'low',
      preemptionPolicy: 'PreemptLowerPriority',
      requests: { cpuMilli: 1000, memoryBytes: 1024 ** 3, ephemeralBytes: 0, pods: 1, extended: null },
      nodeName: null,
      nominatedNodeName: null,
      phase: 'Pending',
      creationMs: Date.UTC(2026, 10, 23, 9, 22, 46),
      startMs: null,
      deletionMs: null,
      gates: [],
      frozenBy: null,
      restored: null,
      restoreShape: null,
      nodeSelector: null,
      notCheckpointable: null,
    });
  });

  it('sees the nomination of a recorded preemptor', () => {
    expect(podOf(recorded('filter.nominated-pod.json').Pod).nominatedNodeName).toMatch(/./);
  });

  it('survives an object that has metadata and nothing else', () => {
    expect(podOf(pod())).toMatchObject({
      name: 'web',
      phase: 'Pending',
      priority: 0,
      owner: null,
      stateBytes: null,
      displacements: 0,
      tolerations: [],
    });
  });

  it.each([
    ['hostPID', { hostPID: true }, /hostPID/],
    ['hostIPC', { hostIPC: true }, /hostIPC/],
    ['a shared process namespace', { shareProcessNamespace: true }, /shareProcessNamespace/],
    ['a sandboxed runtime', { runtimeClassName: 'gvisor' }, /gvisor/],
    ['a folder of its node', { volumes: [{ name: 'logs', hostPath: { path: '/var/log' } }] }, /logs is a hostPath/],
    ['a tty', { containers: [{ name: 'c', tty: true }] }, /tty/],
    ['a block volume', { containers: [{ name: 'c', volumeDevices: [{ name: 'd', devicePath: '/dev/x' }] }] }, /block/],
    [
      'a GPU limit',
      { containers: [{ name: 'c', resources: { limits: { 'nvidia.com/gpu': '1' } } }] },
      /nvidia\.com\/gpu/,
    ],
    ['a sidecar with a tty', { initContainers: [{ name: 's', restartPolicy: 'Always', tty: true }] }, /tty/],
  ])('refuses to checkpoint a pod with %s', (_, spec, reason) => {
    expect(podOf(pod({ spec })).notCheckpointable).toMatch(reason);
  });

  it('believes the node that its processes cannot be saved, until it says otherwise', () => {
    const condition = { type: 'reprieve.dev/Checkpointable', status: 'False', reason: 'IoUringInUse', message: 'no' };
    expect(podOf(pod({ status: { conditions: [condition] } })).notCheckpointable).toBe('no');
    expect(podOf(pod({ status: { conditions: [{ ...condition, message: '' }] } })).notCheckpointable).toBe(
      'IoUringInUse',
    );
    expect(podOf(pod({ status: { conditions: [{ ...condition, status: 'True' }] } })).notCheckpointable).toBeNull();
  });

  it('does not mind what an init container did that has ended', () => {
    expect(podOf(pod({ spec: { initContainers: [{ name: 'i', tty: true }] } })).notCheckpointable).toBeNull();
  });

  it('reads what the conditions say', () => {
    const conditions = [
      { type: 'PodScheduled', status: 'False', message: '0/1 nodes ... preemption: no candidate node for preemption' },
      { type: 'DisruptionTarget', status: 'True', reason: 'PreemptionByScheduler' },
      { type: 'reprieve.dev/Frozen', status: 'True', message: 'web-u1-d1' },
      { type: 'reprieve.dev/Restored', status: 'False', reason: 'Incompatible', message: 'class b' },
    ];
    expect(podOf(pod({ status: { conditions } }))).toMatchObject({
      preemptionDeferred: true,
      disruptionTarget: true,
      frozenBy: 'web-u1-d1',
      restored: { succeeded: false, reason: 'Incompatible', message: 'class b' },
    });
  });

  it.each([
    ['PagesDiffer', 'pages-1.img', 'PagesDiffer: pages-1.img'],
    ['toString', 'odd', 'toString: odd'],
    ['Restored', '', 'Restored'],
    [undefined, undefined, ''],
  ])('keeps what an agent says of a failed restore, though it does not know the reason %s', (reason, message, kept) => {
    const condition = { type: 'reprieve.dev/Restored', status: 'False', reason, message };
    const { restored } = podOf(pod({ status: { conditions: [condition] } }));
    expect(restored).toEqual({ succeeded: false, reason: 'RestoreFailed', message: kept });
  });

  it('knows what a gated pod was told of its place, and what it was told later', () => {
    const told = (status: string, reason: string): Pod['queuedAs'] => {
      const condition = { type: 'reprieve.dev/Restored', status, reason, message: 'position 1' };
      return podOf(pod({ status: { conditions: [condition] } })).queuedAs;
    };
    expect(told('Unknown', 'Queued')).toBe('position 1');
    expect([told('Unknown', 'Admitted'), told('True', 'Restored'), told('False', 'Queued')]).toEqual([
      null,
      null,
      null,
    ]);
  });

  it.each([
    ['an extender left no candidate', 'no candidate node for preemption', true],
    ['it could not be reached', 'Post "https://127.0.0.1:9443/v1/preempt": dial tcp: connection refused', true],
    ['it failed', 'failed preempt with extender at URL https://127.0.0.1:9443/v1/preempt, code 500', true],
    ['there is nobody to preempt', '0/3 nodes are available: 3 No preemption victims found.', false],
    ['it may not', 'not eligible due to preemptionPolicy=Never.', false],
  ])('knows whom kube-scheduler has parked: %s', (_, message, parked) => {
    const text = `0/3 nodes are available: 3 Insufficient cpu. preemption: ${message}`;
    const conditions = [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: text }];
    expect(podOf(pod({ status: { conditions } })).preemptionDeferred).toBe(parked);
  });

  it.each([
    ['another reason', { type: 'DisruptionTarget', status: 'True', reason: 'EvictionByEvictionAPI' }],
    ['thawed', { type: 'reprieve.dev/Frozen', status: 'False', message: 'web-u1-d1' }],
    ['frozen by nobody', { type: 'reprieve.dev/Frozen', status: 'True' }],
    ['not known', { type: 'reprieve.dev/Restored', status: 'Unknown' }],
    ['gated', { type: 'PodScheduled', status: 'False', reason: 'SchedulingGated' }],
  ])('does not take a condition for more than it says: %s', (_, condition) => {
    expect(podOf(pod({ status: { conditions: [condition] } }))).toMatchObject({
      preemptionDeferred: false,
      disruptionTarget: false,
      frozenBy: null,
      restored: null,
    });
  });

  it('reads our annotations, and ignores what is not a count in them', () => {
    const annotations = {
      'reprieve.dev/ticket': 't1',
      'reprieve.dev/displacements': '2',
      'reprieve.dev/state-bytes': '4294967296',
      'batch.kubernetes.io/job-completion-index': '0',
    };
    expect(podOf(pod({ metadata: { annotations } }))).toMatchObject({
      ticket: 't1',
      displacements: 2,
      stateBytes: 2 ** 32,
      completionIndex: 0,
    });
    const odd = {
      'reprieve.dev/state-bytes': '1e99',
      'reprieve.dev/displacements': '-1',
      'batch.kubernetes.io/job-completion-index': 'x',
    };
    expect(podOf(pod({ metadata: { annotations: odd } }))).toMatchObject({
      stateBytes: null,
      displacements: 0,
      completionIndex: null,
    });
  });

  it('gives a gated pod a shape, and no other', () => {
    const spec = { containers: [{ name: 'c', image: 'i' }] };
    expect(podOf(pod({ spec })).restoreShape).toBeNull();
    const gated = { ...spec, schedulingGates: [{ name: 'reprieve.dev/restore' }] };
    expect(podOf(pod({ spec: gated })).restoreShape).toMatch(/^[0-9a-f]{64}$/);
  });

  it('joins the node selector and a single affinity term', () => {
    const term = (key: string) => ({ matchExpressions: [{ key, operator: 'Exists' }] });
    const affinity = (...terms: object[]) => ({
      nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: terms } },
    });
    expect(podOf(pod({ spec: { nodeSelector: { zone: 'a' }, affinity: affinity(term('ssd')) } })).nodeSelector).toEqual(
      {
        requirements: [
          { key: 'zone', operator: 'In', values: ['a'] },
          { key: 'ssd', operator: 'Exists', values: [] },
        ],
      },
    );
    // Alternatives cannot be said in one list: kube-scheduler decides.
    expect(podOf(pod({ spec: { affinity: affinity(term('ssd'), term('nvme')) } })).nodeSelector).toBeNull();
  });

  it('reads every victim of a recorded preempt call', () => {
    const body = recorded('preempt.full-victims.pdb-violations.json') as unknown as {
      NodeNameToVictims: Record<string, { Pods: KubeObject[] }>;
    };
    const victims = Object.values(body.NodeNameToVictims).flatMap(({ Pods }) => Pods);
    expect(victims.length).toBeGreaterThan(0);
    for (const victim of victims) {
      expect(podOf(victim).nodeName).not.toBeNull();
      expect(podOf(victim).requests.pods).toBe(1);
    }
  });
});
