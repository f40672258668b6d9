import type { KubeObject } from '../../src/kube/transport.ts';

/** Pods that one ReplicaSet owns, and that differ in their names alone. */
const PODS_OF_AN_OWNER = 50;
const NAMESPACES = 50;

/** The objects of a cluster as kube-apiserver gives them out: about 4 KB a pod, of which the projection keeps little. */
export interface Population {
  readonly nodes: number;
  readonly pods: number;
}

export const PRIORITY_CLASSES: Readonly<Record<string, number>> = { low: 0, high: 1000 };

function namespaceName(pod: number): string {
  return `team-${Math.floor(pod / PODS_OF_AN_OWNER) % NAMESPACES}`;
}

export function namespaceNames(): readonly string[] {
  return Array.from({ length: NAMESPACES }, (_, number) => `team-${number}`);
}

export function nodeName(number: number): string {
  return `node-${String(number).padStart(5, '0')}`;
}

export function nodeObject(number: number): object {
  const name = nodeName(number);
  return {
    metadata: {
      name,
      labels: {
        'kubernetes.io/hostname': name,
        'kubernetes.io/arch': 'amd64',
        'kubernetes.io/os': 'linux',
        'topology.kubernetes.io/zone': `zone-${number % 3}`,
        'node.kubernetes.io/instance-type': 'm6.8xlarge',
        'reprieve.dev/checkpoint': 'true',
        'reprieve.dev/compatibility': 'amd64-1',
      },
      annotations: { 'volumes.kubernetes.io/controller-managed-attach-detach': 'true' },
    },
    spec: { podCIDR: '10.0.0.0/24' },
  };
}

/** In status, which is written apart. */
export function nodeStatus(): object {
  const resources = { cpu: '32', memory: '128Gi', 'ephemeral-storage': '200Gi', pods: '110' };
  const conditions = ['MemoryPressure', 'DiskPressure', 'PIDPressure', 'Ready'].map((type) => ({
    type,
    status: type === 'Ready' ? 'True' : 'False',
    reason: `Kubelet${type}`,
    message: `kubelet reports ${type}`,
  }));
  const images = Array.from({ length: 50 }, (_, image) => ({
    names: [`registry.example/team/image-${image}@sha256:${'0123456789abcdef'.repeat(4)}`],
    sizeBytes: 123_456_789 + image,
  }));
  return { capacity: resources, allocatable: resources, conditions, images };
}

/** Pods come in turn on all nodes, so that each node has pods of many owners. */
export function podObject(number: number, nodes: number): object {
  const owner = Math.floor(number / PODS_OF_AN_OWNER);
  const app = `app-${owner}`;
  const hash = (owner * 7919).toString(36);
  return {
    metadata: {
      name: `${app}-${hash}-${(number * 31).toString(36).padStart(5, '0')}`,
      namespace: namespaceName(number),
      labels: {
        app,
        'app.kubernetes.io/name': app,
        'app.kubernetes.io/component': 'worker',
        'pod-template-hash': hash,
      },
      annotations: { 'kubernetes.io/config.seen': '2026-11-20T00:00:00.000000000Z', 'prometheus.io/scrape': 'true' },
      ownerReferences: [
        {
          apiVersion: 'apps/v1',
          kind: 'ReplicaSet',
          name: `${app}-${hash}`,
          uid: `00000000-0000-4000-8000-${String(owner).padStart(12, '0')}`,
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
    },
    spec: {
      nodeName: nodeName(number % nodes),
      priorityClassName: 'low',
      serviceAccountName: 'default',
      containers: [container(app)],
      volumes: [
        {
          name: `kube-api-access-${hash.slice(0, 5)}`,
          projected: {
            sources: [
              { serviceAccountToken: { expirationSeconds: 3607, path: 'token' } },
              { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
            ],
            defaultMode: 420,
          },
        },
      ],
    },
  };
}

function container(app: string): object {
  const env = Array.from({ length: 12 }, (_, variable) => ({
    name: `SETTING_NUMBER_${variable}`,
    value: `a value of ${app} that is about as long as those of real programs`,
  }));
  const probe = { httpGet: { path: '/healthz', port: 8080, scheme: 'HTTP' }, periodSeconds: 10, failureThreshold: 3 };
  return {
    name: 'main',
    image: `registry.example/team/${app}@sha256:${'0123456789abcdef'.repeat(4)}`,
    command: ['/usr/bin/worker', '--config=/etc/worker/config.yaml'],
    env,
    resources: { requests: { cpu: '500m', memory: '1Gi' }, limits: { memory: '1Gi' } },
    livenessProbe: probe,
    readinessProbe: probe,
    volumeMounts: [{ name: 'token', mountPath: '/var/run/secrets/kubernetes.io/serviceaccount', readOnly: true }],
  };
}

/** Within the last five minutes, so that saving is not worth its while where the disk is slow; pods of one node one after the other. */
export function startTimeOf(number: number, nodes: number, nowMs: number): string {
  const ageSeconds = (number * 7 + Math.floor(number / nodes) * 37) % 300;
  return `${new Date(nowMs - ageSeconds * 1000).toISOString().slice(0, 19)}Z`;
}

/** The status of a pod that runs; `turn` makes one differ from the last. */
export function podStatus(startTime: string, turn = 0): object {
  const conditions = ['PodReadyToStartContainers', 'Initialized', 'Ready', 'ContainersReady', 'PodScheduled'].map(
    (type) => ({ type, status: type === 'Ready' && turn % 2 === 1 ? 'False' : 'True', lastTransitionTime: startTime }),
  );
  return {
    phase: 'Running',
    conditions,
    hostIP: '192.0.2.1',
    podIP: '198.51.100.1',
    startTime,
    containerStatuses: [
      {
        name: 'main',
        state: { running: { startedAt: startTime } },
        ready: true,
        restartCount: turn,
        image: 'registry.example/team/worker:1',
        imageID: `registry.example/team/worker@sha256:${'0123456789abcdef'.repeat(4)}`,
        containerID: `containerd://${'0123456789abcdef'.repeat(4)}`,
        started: true,
      },
    ],
  };
}

/** Nobody's: `match` selects every pod of the priority class. */
export function policyObject(decision: 'Adaptive' | 'Never'): object {
  return {
    metadata: { name: 'low' },
    spec: { match: { priorityClassNames: ['low'] }, preemption: { decision } },
  };
}

/** The pod that asks, as kube-scheduler sends it. */
export function preemptor(uid: string): KubeObject {
  return {
    metadata: {
      name: `high-${uid}`,
      namespace: 'team-0',
      uid,
      resourceVersion: '1',
      creationTimestamp: '2026-11-20T00:00:00Z',
      labels: { app: 'high', 'pod-template-hash': 'abc' },
    },
    spec: {
      priority: PRIORITY_CLASSES['high'],
      priorityClassName: 'high',
      schedulerName: 'default-scheduler',
      preemptionPolicy: 'PreemptLowerPriority',
      containers: [container('high')],
      tolerations: [
        { key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 },
        { key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 },
      ],
    },
    status: { phase: 'Pending', qosClass: 'Burstable' },
  };
}
