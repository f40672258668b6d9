/** Objects the story creates: victims of each kind, and those who displace them. All in namespace `default`. */

export interface PodShape {
  readonly priorityClassName: string;
  readonly cpu: string;
  /** Size of the state that is saved; the simulated disk writes 500 MiB/s. */
  readonly state?: string;
  /** Pins the pod to one node. */
  readonly node?: string;
  /** Nodes it may take. */
  readonly nodes?: readonly string[];
  /** The node it takes where it can. */
  readonly prefers?: string;
  readonly schedulerName?: string;
  readonly gates?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly workSeconds?: number;
}

const IMAGE = 'registry.example/worker:1';

function template(
  {
    priorityClassName,
    cpu,
    state = '100Mi',
    node,
    nodes,
    prefers,
    labels,
    workSeconds,
    schedulerName,
    gates,
  }: PodShape,
  restartPolicy: string,
): object {
  return {
    metadata: {
      ...(labels && { labels }),
      annotations: {
        'sim.reprieve.dev/memory': state,
        ...(workSeconds !== undefined && { 'sim.reprieve.dev/work-seconds': String(workSeconds) }),
      },
    },
    spec: {
      restartPolicy,
      priorityClassName,
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 30,
      ...(node !== undefined && { nodeSelector: { 'kubernetes.io/hostname': node } }),
      ...((nodes ?? prefers) !== undefined && { affinity: { nodeAffinity: placement({ nodes, prefers }) } }),
      ...(schedulerName !== undefined && { schedulerName }),
      ...(gates !== undefined && { schedulingGates: gates.map((name) => ({ name })) }),
      containers: [{ name: 'main', image: IMAGE, resources: { requests: { cpu, memory: '256Mi' } } }],
    },
  };
}

function placement({ nodes, prefers }: { nodes: readonly string[] | undefined; prefers: string | undefined }): object {
  const among = (values: readonly string[]): object => ({
    matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values }],
  });
  return {
    ...(nodes && { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [among(nodes)] } }),
    ...(prefers !== undefined && {
      preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 100, preference: among([prefers]) }],
    }),
  };
}

export function pod(name: string, shape: PodShape): object {
  const { metadata, spec } = template(shape, 'Always') as { metadata: object; spec: object };
  return { apiVersion: 'v1', kind: 'Pod', metadata: { ...metadata, name }, spec };
}

/** No retries at all: only the DisruptionTarget rule keeps it from failing when its pod is displaced. */
export function job(name: string, shape: PodShape): object {
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name },
    spec: {
      backoffLimit: 0,
      podFailurePolicy: {
        rules: [{ action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] }],
      },
      template: template(shape, 'Never'),
    },
  };
}

export function deployment(name: string, shape: PodShape): object {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: {
      replicas: 1,
      selector: { matchLabels: { app: name } },
      template: template({ ...shape, labels: { app: name } }, 'Always'),
    },
  };
}

export function statefulSet(name: string, shape: PodShape): object {
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { name },
    spec: {
      replicas: 1,
      serviceName: name,
      selector: { matchLabels: { app: name } },
      template: template({ ...shape, labels: { app: name } }, 'Always'),
    },
  };
}

export function priorityClass(name: string, value: number, preemptionPolicy = 'PreemptLowerPriority'): object {
  return { apiVersion: 'scheduling.k8s.io/v1', kind: 'PriorityClass', metadata: { name }, value, preemptionPolicy };
}

export function policy(
  name: string,
  priorityClassName: string,
  onFailure: 'Evict' | 'Refuse' = 'Refuse',
  maxDelay = '60s',
): object {
  return {
    apiVersion: 'reprieve.dev/v1alpha1',
    kind: 'ReprievePolicy',
    metadata: { name },
    spec: {
      match: { priorityClassNames: [priorityClassName] },
      preemption: { decision: 'Always', onFailure, maxDelay },
    },
  };
}
