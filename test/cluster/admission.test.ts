import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { RESTORE_GATE, RESTORED_CONDITION, TICKET_ANNOTATION } from '../../src/domain/labels.ts';
import { DEFAULT_ENGINE_SETTINGS } from '../../src/engine/core/steps.ts';
import type { KubeObject } from '../../src/kube/transport.ts';
import { condition, field, type Version } from './story/history.ts';
import { Lab } from './story/lab.ts';
import { conditionIn, nodeOf, phaseOf, running, ticketIn, victimUidOf } from './story/seen.ts';
import { pod, policy } from './story/workloads.ts';

/**
 * How often kube-scheduler places a pod at its first try after Reprieve has removed the gate: pods with affinity, anti-affinity, topology
 * spread, host ports, volumes, taints and selectors come back as room appears node by node.
 */
const NODES = ['node-1', 'node-2', 'node-3', 'node-4', 'node-5', 'node-6'] as const;
const TOLERATION = { key: 'dedicated', operator: 'Equal', value: 'few', effect: 'NoSchedule' };
const app = (name: string): object => ({ labelSelector: { matchLabels: { app: name } } });
const required = (term: object): object => ({ requiredDuringSchedulingIgnoredDuringExecution: [term] });

/** Kind of pods -> how many, and what they demand. */
const KINDS: Readonly<Record<string, { readonly count: number; readonly spec: (at: number) => object }>> = {
  spread: {
    count: 4,
    spec: () => ({
      topologySpreadConstraints: [
        { maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule', ...app('spread') },
      ],
    }),
  },
  apart: {
    count: 3,
    spec: () => ({
      affinity: { podAntiAffinity: required({ topologyKey: 'kubernetes.io/hostname', ...app('apart') }) },
    }),
  },
  near: { count: 3, spec: () => ({ affinity: { podAffinity: required({ topologyKey: 'zone', ...app('spread') }) } }) },
  tainted: {
    count: 2,
    spec: () => ({ tolerations: [TOLERATION], nodeSelector: { 'kubernetes.io/hostname': 'node-6' } }),
  },
  volume: {
    count: 2,
    spec: (at) => ({ volumes: [{ name: 'data', persistentVolumeClaim: { claimName: `data-${at}` } }] }),
  },
  port: { count: 3, spec: () => ({}) },
  plain: { count: 3, spec: () => ({}) },
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
  return Object.entries(KINDS).flatMap(([kind, { count, spec }]) =>
    Array.from({ length: count }, (_, at) => {
      const shape = { priorityClassName: 'batch', cpu: '500m', state: '50Mi', labels: { app: kind } };
      const made = pod(`${kind}-${at}`, shape) as Changed;
      Object.assign(made.spec, spec(at));
      if (kind === 'port') made.spec.containers[0]!.ports = [{ containerPort: 8080, hostPort: 8080 }];
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
    ...[0, 1].flatMap((at) => [
      {
        apiVersion: 'v1',
        kind: 'PersistentVolume',
        metadata: { name: `disk-${at}` },
        spec: {
          capacity: size,
          accessModes,
          storageClassName,
          local: { path: '/data' },
          nodeAffinity: { required: onNode(at) },
        },
      },
      {
        apiVersion: 'v1',
        kind: 'PersistentVolumeClaim',
        metadata: { name: `data-${at}` },
        spec: { accessModes, storageClassName, resources: { requests: size } },
      },
    ]),
  ];
}

/** Takes all of a node. */
function serving(node: string): object {
  const made = pod(`serving-${node}`, { priorityClassName: 'serving', cpu: '4', node }) as Changed;
  return { ...made, spec: { ...made.spec, tolerations: [TOLERATION] } };
}

const gatesOf = (object: KubeObject): readonly { readonly name: string }[] =>
  (field(object, 'spec', 'schedulingGates') as readonly { readonly name: string }[] | undefined) ?? [];
const isGated = (object: KubeObject): boolean => gatesOf(object).some(({ name }) => name === RESTORE_GATE);

/** Of each pod that Reprieve let go: whether kube-scheduler found a node without having said before that there is none. */
function firstTries(): ReadonlyMap<string, boolean> {
  const byUid = Map.groupBy(lab.history.of('Pod'), ({ object }) => object.metadata.uid as string);
  const tries = new Map<string, boolean>();
  for (const versions of byUid.values()) {
    const from = versions.findLastIndex(({ object }) => isGated(object));
    const until = versions.findIndex(({ object }) => nodeOf(object) !== undefined);
    if (from < 0 || until < 0) continue;
    const between = versions.slice(from + 1, until);
    const wasRefused = between.some(({ object }) => conditionIn(object, 'PodScheduled')?.reason === 'Unschedulable');
    tries.set((versions[0] as Version).object.metadata.name, !wasRefused);
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

it('removes gates only where kube-scheduler places the pod at once, and keeps the cap on restores', async () => {
  const { cluster } = lab;
  for (const [at, node] of NODES.entries())
    await cluster.kubectl('label', 'node', node, `zone=${at < NODES.length / 2 ? 'a' : 'b'}`);
  await cluster.kubectl('taint', 'node', 'node-6', 'dedicated=few:NoSchedule');
  await cluster.applyObjects(policy('batch', 'batch'), ...volumes(), ...batchPods());
  const names = Object.entries(KINDS).flatMap(([kind, { count }]) =>
    Array.from({ length: count }, (_, at) => `${kind}-${at}`),
  );
  const victims = await Promise.all(names.map((name) => running(lab, name)));

  await cluster.applyObjects(...NODES.map(serving));
  await Promise.all(victims.map(({ uid }) => ticketIn(lab, 'Waiting', uid)));
  for (const node of ['node-4', 'node-1', 'node-6', 'node-2', 'node-5', 'node-3']) {
    await cluster.kubectl('delete', 'pod', `serving-${node}`, '--wait=false');
    await sleep(2_000);
  }
  const uids = new Set(victims.map(({ uid }) => uid));
  const done = new Set<unknown>();
  const isLast = (ticket: KubeObject): boolean => {
    if (phaseOf(ticket) === 'Restored' && uids.has(String(victimUidOf(ticket)))) done.add(victimUidOf(ticket));
    return done.size === uids.size;
  };
  await lab.history.until('Reprieve', 'all restored', isLast, 120);

  const tries = firstTries();
  const atOnce = [...tries.values()].filter(Boolean).length;
  console.info(
    `admission: ${atOnce} of ${tries.size} pods placed at the first try, at most ${mostRestores()} restores on one node`,
  );
  expect(tries.size).toBeGreaterThanOrEqual(names.length);
  expect(atOnce / tries.size).toBeGreaterThanOrEqual(0.99);
  expect(mostRestores()).toBeLessThanOrEqual(DEFAULT_ENGINE_SETTINGS.maxConcurrentRestoresPerNode);
}, 240_000);
