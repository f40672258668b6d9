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
      evictedMs: null,
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
      gateExpired: false,
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
    ['a user namespace', { hostUsers: false }, /hostUsers/],
    ['a generic ephemeral volume', { volumes: [{ name: 'scratch', ephemeral: {} }] }, /scratch is a generic ephemeral/],
    ['an inline CSI volume', { volumes: [{ name: 'c', csi: { driver: 'd' } }] }, /c is an inline CSI volume/],
    [
      'a postStart hook',
      { containers: [{ name: 'c', lifecycle: { postStart: { exec: {} } } }] },
      /postStart hook of container c/,
    ],
    [
      'an init container that writes to a volume after a sidecar',
      {
        volumes: [{ name: 'work', emptyDir: {} }],
        initContainers: [
          { name: 'proxy', restartPolicy: 'Always' },
          { name: 'setup', volumeMounts: [{ name: 'work', mountPath: '/work' }] },
        ],
      },
      /init container setup runs after sidecar proxy/,
    ],
    ['a sidecar with a tty', { initContainers: [{ name: 's', restartPolicy: 'Always', tty: true }] }, /tty/],
  ])('refuses to checkpoint a pod with %s', (_, spec, reason) => {
    expect(podOf(pod({ spec })).notCheckpointable).toEqual({
      reason: 'SpecUnsupported',
      message: expect.stringMatching(reason),
    });
  });

  it('believes the node that its processes cannot be saved, until it says otherwise', () => {
    const condition = { type: 'reprieve.dev/Checkpointable', status: 'False', reason: 'IoUringInUse', message: 'no' };
    expect(podOf(pod({ status: { conditions: [condition] } })).notCheckpointable).toEqual({
      reason: 'IoUringInUse',
      message: 'no',
    });
    expect(podOf(pod({ status: { conditions: [{ ...condition, message: '' }] } })).notCheckpointable).toEqual({
      reason: 'IoUringInUse',
      message: 'IoUringInUse',
    });
    expect(podOf(pod({ status: { conditions: [{ ...condition, status: 'True' }] } })).notCheckpointable).toBeNull();
  });

  it.each([
    ['an init container before the sidecars', ['setup', 'proxy'], { name: 'work' }],
    ['one after them that only reads', ['proxy', 'setup'], { name: 'work', readOnly: true }],
    ['one after them that has another volume', ['proxy', 'setup'], { name: 'claim' }],
  ])('does not mind %s', (_, order, mount) => {
    const volumes = [
      { name: 'work', emptyDir: {} },
      { name: 'claim', persistentVolumeClaim: { claimName: 'c' } },
    ];
    const containers = {
      proxy: { name: 'proxy', restartPolicy: 'Always' },
      setup: { name: 'setup', volumeMounts: [{ ...mount, mountPath: '/work' }] },
    };
    const initContainers = order.map((name) => containers[name as keyof typeof containers]);
    expect(podOf(pod({ spec: { volumes, initContainers } })).notCheckpointable).toBeNull();
  });

  it('does not mind an inline CSI volume that is only read, as of the driver for secrets', () => {
    const volumes = [{ name: 's', csi: { driver: 'secrets-store.csi.k8s.io', readOnly: true } }];
    expect(podOf(pod({ spec: { volumes } })).notCheckpointable).toBeNull();
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

  it('tells a pod that others ended from one that ended by itself', () => {
    const ended = (status: object, annotations = { 'reprieve.dev/ticket': 't' }) => {
      const { disrupted, disruptionTarget, neverStarted } = podOf(
        pod({ metadata: { annotations }, status: { phase: 'Failed', ...status } }),
      );
      return { disrupted, disruptionTarget, neverStarted };
    };
    const conditions = [{ type: 'DisruptionTarget', status: 'True', reason: 'EvictionByEvictionAPI' }];
    const ran = { containerStatuses: [{ name: 'a', containerID: 'containerd://1', restartCount: 0 }] };
    const never = { containerStatuses: [{ name: 'a', containerID: '', restartCount: 0 }] };
    expect(ended({ conditions, ...ran })).toEqual({ disrupted: true, disruptionTarget: false, neverStarted: false });
    expect(ended({ reason: 'OutOfcpu' })).toEqual({ disrupted: false, disruptionTarget: false, neverStarted: true });
    expect(ended(never).neverStarted).toBe(true);
    expect(ended({ phase: 'Succeeded' }).neverStarted).toBe(false);
    expect(ended({}, {} as never).neverStarted).toBe(false);
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
      'batch.kubernetes.io/job-index-failure-count': '3',
    };
    expect(podOf(pod({ metadata: { annotations } }))).toMatchObject({
      ticket: 't1',
      displacements: 2,
      stateBytes: 2 ** 32,
      completionIndex: 0,
      indexFailures: 3,
    });
    const odd = {
      'reprieve.dev/state-bytes': '1e99',
      'reprieve.dev/displacements': '-1',
      'batch.kubernetes.io/job-completion-index': 'x',
      'batch.kubernetes.io/job-index-failure-count': '',
    };
    expect(podOf(pod({ metadata: { annotations: odd } }))).toMatchObject({
      stateBytes: null,
      displacements: 0,
      completionIndex: null,
      indexFailures: 0,
    });
  });

  it('knows when its deletion was requested, until the grace period is over', () => {
    const deleted = (deletionGracePeriodSeconds: number): Pod['evictedMs'] =>
      podOf(pod({ metadata: { deletionTimestamp: '2026-01-01T00:00:30Z', deletionGracePeriodSeconds } })).evictedMs;
    expect(deleted(30)).toBe(Date.parse('2026-01-01T00:00:00Z'));
    expect(deleted(0)).toBeNull();
    expect(podOf(pod()).evictedMs).toBeNull();
  });

  it('gives a gated pod a shape, and no other', () => {
    const spec = { containers: [{ name: 'c', image: 'i' }] };
    expect(podOf(pod({ spec })).restoreShape).toBeNull();
    const gated = { ...spec, schedulingGates: [{ name: 'reprieve.dev/restore' }] };
    expect(podOf(pod({ spec: gated })).restoreShape).toMatch(/^[0-9a-f]{64}:[0-9a-f]{90}$/);
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
        terms: null,
      },
    );
    const labels = (key: string) => ({ labels: [{ key, operator: 'Exists', values: [] }], fields: [] });
    expect(podOf(pod({ spec: { affinity: affinity(term('ssd'), term('nvme')) } })).nodeSelector).toEqual({
      requirements: [],
      terms: [labels('ssd'), labels('nvme')],
    });
    const named = { matchFields: [{ key: 'metadata.name', operator: 'In', values: ['n1'] }] };
    expect(podOf(pod({ spec: { affinity: affinity(named) } })).nodeSelector).toEqual({
      requirements: [],
      terms: [{ labels: [], fields: named.matchFields }],
    });
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
