import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { RESTORED_CONDITION, TICKET_ANNOTATION } from '../../src/domain/labels.ts';
import { DEFAULT_ENGINE_SETTINGS } from '../../src/engine/core/steps.ts';
import type { KubeObject } from '../../src/kube/transport.ts';
import { condition, type Version } from './story/history.ts';
import { Lab } from './story/lab.ts';
import { conditionIn, isGated, isRunning, nodeOf, phaseOf, victimUidOf } from './story/seen.ts';
import { pod, policy } from './story/workloads.ts';

/**
 * How often kube-scheduler places a pod at its first try after Reprieve has removed the gate: pods with affinity, anti-affinity, topology
 * spread, host ports, volumes, taints and selectors come back as room appears node by node.
 */
const NODES = ['node-1', 'node-2', 'node-3', 'node-4', 'node-5', 'node-6'] as const;
const VOLUMES = 10;
const TOLERATION = { key: 'dedicated', operator: 'Equal', value: 'few', effect: 'NoSchedule' };
const app = (name: string): object => ({ labelSelector: { matchLabels: { app: name } } });
const required = (term: object): object => ({ requiredDuringSchedulingIgnoredDuringExecution: [term] });

interface Kind {
  readonly count: number;
  readonly spec?: (at: number) => object;
  readonly hostPort?: number;
}

/** Kind of pods -> how many, and what they demand. More than a hundred, so that one in a hundred is a share of them. */
const KINDS: Readonly<Record<string, Kind>> = {
  spread: {
    count: 20,
    spec: () => ({
      topologySpreadConstraints: [
        { maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule', ...app('spread') },
      ],
    }),
  },
  apart: {
    count: 5,
    spec: () => ({
      affinity: { podAntiAffinity: required({ topologyKey: 'kubernetes.io/hostname', ...app('apart') }) },
    }),
  },
  near: { count: 20, spec: () => ({ affinity: { podAffinity: required({ topologyKey: 'zone', ...app('spread') }) } }) },
  tainted: {
    count: 10,
    spec: () => ({ tolerations: [TOLERATION], nodeSelector: { 'kubernetes.io/hostname': 'node-6' } }),
  },
  volume: {
    count: VOLUMES,
    spec: (at) => ({ volumes: [{ name: 'data', persistentVolumeClaim: { claimName: `data-${at}` } }] }),
  },
  attached: {
    count: 2 * NODES.length - 2,
    spec: (at) => ({ volumes: [{ name: 'data', persistentVolumeClaim: { claimName: `attached-${at}` } }] }),
  },
  web: { count: 5, hostPort: 8080 },
  metrics: { count: 5, hostPort: 9100 },
  plain: { count: 25 },
};

let lab: Lab;
beforeAll(async () => {
  lab = await Lab.start(NODES.length);
});
afterAll(async () => {
  await lab?.[Symbol.asyncDispose]();
});

type Changed = { metadata: object; spec: { containers: { ports?: object }[] } };

function batchPods(): readonly object[] {
  return Object.entries(KINDS).flatMap(([kind, { count, spec, hostPort }]) =>
    Array.from({ length: count }, (_, at) => {
      const shape = { priorityClassName: 'batch', cpu: '100m', state: '50Mi', labels: { app: kind } };
      const made = pod(`${kind}-${at}`, shape) as Changed;
      Object.assign(made.spec, spec?.(at));
      if (hostPort !== undefined) made.spec.containers[0]!.ports = [{ containerPort: 80, hostPort }];
      return made;
    }),
  );
}

/** Volumes that lie on one node each. */
function volumes(): readonly object[] {
  const storageClassName = 'local';
  const size = { storage: '1Gi' };
  const accessModes = ['ReadWriteOnce'];
  const onNode = (at: number): object => ({
    nodeSelectorTerms: [
      { matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: [`node-${at + 1}`] }] },
    ],
  });
  const storage = { provisioner: 'kubernetes.io/no-provisioner', volumeBindingMode: 'WaitForFirstConsumer' };
  return [
    { apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass', metadata: { name: storageClassName }, ...storage },
    ...Array.from({ length: VOLUMES }, (_, at) => [
      {
        apiVersion: 'v1',
        kind: 'PersistentVolume',
        metadata: { name: `disk-${at}` },
        spec: {
          capacity: size,
          accessModes,
          storageClassName,
          local: { path: '/data' },
          nodeAffinity: { required: onNode(at % 2) },
        },
      },
      {
        apiVersion: 'v1',
        kind: 'PersistentVolumeClaim',
        metadata: { name: `data-${at}` },
        spec: { accessModes, storageClassName, resources: { requests: size } },
      },
    ]).flat(),
  ];
}

/** Volumes of a driver that can attach two to each node. */
function attachedVolumes(): readonly object[] {
  const driver = 'disk.example.com';
  const shared = { storageClassName: 'attached', accessModes: ['ReadWriteOnce'] };
  const drivers = (nodeID: string): object => ({ drivers: [{ name: driver, nodeID, allocatable: { count: 2 } }] });
  return [
    ...NODES.map((name) => ({
      apiVersion: 'storage.k8s.io/v1',
      kind: 'CSINode',
      metadata: { name },
      spec: drivers(name),
    })),
    ...Array.from({ length: KINDS['attached']?.count ?? 0 }, (_, at) => {
      const claim = `attached-${at}`;
      return [
        {
          apiVersion: 'v1',
          kind: 'PersistentVolume',
          metadata: { name: claim },
          spec: {
            ...shared,
            capacity: { storage: '1Gi' },
            claimRef: { namespace: 'default', name: claim },
            csi: { driver, volumeHandle: claim },
          },
        },
        {
          apiVersion: 'v1',
          kind: 'PersistentVolumeClaim',
          metadata: { name: claim },
          spec: { ...shared, resources: { requests: { storage: '1Gi' } }, volumeName: claim },
        },
      ];
    }).flat(),
  ];
}

/** Takes all of a node. */
function serving(node: string): object {
  const made = pod(`serving-${node}`, { priorityClassName: 'serving', cpu: '4', node }) as Changed;
  return { ...made, spec: { ...made.spec, tolerations: [TOLERATION] } };
}

/** Of each pod that Reprieve let go: why kube-scheduler found no node at its first try; null where it found one. */
function firstTries(): ReadonlyMap<string, string | null> {
  const byUid = Map.groupBy(lab.history.of('Pod'), ({ object }) => object.metadata.uid as string);
  const tries = new Map<string, string | null>();
  for (const versions of byUid.values()) {
    const from = versions.findLastIndex(({ object }) => isGated(object));
    const until = versions.findIndex(({ object }) => nodeOf(object) !== undefined);
    if (from < 0 || until < 0) continue;
    const refusal = versions
      .slice(from + 1, until)
      .map(({ object }) => conditionIn(object, 'PodScheduled'))
      .find((condition) => condition?.reason === 'Unschedulable');
    tries.set((versions[0] as Version).object.metadata.name, refusal ? (refusal.message ?? '') : null);
  }
  return tries;
}

/** The most restores that were under way on one node. */
function mostRestores(): number {
  const restoring = new Map<string, string>(); // uid -> node
  let most = 0;
  for (const { object, type } of lab.history.of('Pod')) {
    const { uid = '', annotations } = object.metadata;
    const node = nodeOf(object);
    const isReported =
      condition(object, RESTORED_CONDITION) !== undefined && condition(object, RESTORED_CONDITION) !== 'Unknown';
    const isOver = type === 'DELETED' || phaseOf(object) === 'Failed' || isReported;
    if (node === undefined || annotations?.[TICKET_ANNOTATION] === undefined || isOver) restoring.delete(uid);
    else restoring.set(uid, node);
    const counts = Map.groupBy(restoring.values(), (name) => name);
    most = Math.max(most, ...[...counts.values()].map(({ length }) => length));
  }
  return most;
}

/** Waits for as many different answers of `idOf`, of all versions of a kind, and gives them back. */
async function seenOf(
  kind: string,
  what: string,
  count: number,
  idOf: (object: KubeObject) => unknown,
): Promise<Set<unknown>> {
  const ids = new Set<unknown>();
  const isLast = (object: KubeObject): boolean => {
    const id = idOf(object);
    if (id !== null) ids.add(id);
    return ids.size === count;
  };
  await lab.history.until(kind, `${count} ${what}`, isLast, 180);
  return ids;
}

it('removes gates only where kube-scheduler places the pod at once, and keeps the cap on restores', async () => {
  const { cluster } = lab;
  for (const [at, node] of NODES.entries())
    await cluster.kubectl('label', 'node', node, `zone=${at < NODES.length / 2 ? 'a' : 'b'}`);
  await cluster.kubectl('taint', 'node', 'node-6', 'dedicated=few:NoSchedule');
  const pods = batchPods();
  await cluster.applyObjects(policy('batch', 'batch'), ...volumes(), ...attachedVolumes(), ...pods);
  const victims = await seenOf('Pod', 'pods running', pods.length, (object) =>
    isRunning(object) && object.metadata.namespace === 'default' ? object.metadata.uid : null,
  );

  await cluster.applyObjects(...NODES.map(serving));
  const inPhase = (phase: string) => (ticket: KubeObject) =>
    phaseOf(ticket) === phase && victims.has(victimUidOf(ticket)) ? victimUidOf(ticket) : null;
  await seenOf('Reprieve', 'tickets waiting', pods.length, inPhase('Waiting'));
  for (const node of ['node-4', 'node-1', 'node-6', 'node-2', 'node-5', 'node-3']) {
    await cluster.kubectl('delete', 'pod', `serving-${node}`, '--wait=false');
    await sleep(2_000);
  }
  await seenOf('Reprieve', 'tickets restored', pods.length, inPhase('Restored'));

  const tries = firstTries();
  const missed = [...tries].flatMap(([name, why]) => (why === null ? [] : [`${name}: ${why}`]));
  console.info(
    `admission: ${tries.size - missed.length} of ${tries.size} pods placed at the first try, at most ${mostRestores()} restores on one node`,
  );
  expect(tries.size).toBeGreaterThanOrEqual(pods.length);
  expect(missed.length / tries.size, missed.join('\n')).toBeLessThanOrEqual(0.01);
  expect(mostRestores()).toBeLessThanOrEqual(DEFAULT_ENGINE_SETTINGS.maxConcurrentRestoresPerNode);
}, 600_000);
