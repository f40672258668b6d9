import { RESOURCES, type ResourceType } from '../kube/resources.ts';
import { nodeSpec, type NodeSpec } from './nodes/node-spec.ts';
import type { Random } from './random.ts';

/** One thing that somebody does to the cluster. */
export type ScenarioAction =
  | { readonly atMs: number; readonly kind: 'create'; readonly type: ResourceType; readonly object: object }
  | { readonly atMs: number; readonly kind: 'delete'; readonly type: ResourceType; readonly name: string };

/** What happens from outside, whoever schedules: the same list is played with Reprieve and with native preemption. */
export interface Scenario {
  readonly nodes: readonly NodeSpec[];
  /** By time. Times count from the start of the story. */
  readonly actions: readonly ScenarioAction[];
  readonly endMs: number;
}

/** Whoever has this priority or more is serving; below it is batch. */
export const SERVING_PRIORITY = 1000;

const NODES = 6;
const SECOND = 1000;

/**
 * A small mixed cluster: training jobs, notebooks, crawlers and bare pods fill it; two peaks of serving pods displace some
 * of them for a few minutes each. Half of the batch programs end within seconds of SIGTERM, half ignore it and use up
 * their grace period of 30 s, as a shell or a Python program as PID 1 does.
 */
export function demoScenario(random: Random): Scenario {
  const actions: ScenarioAction[] = [
    create(0, RESOURCES.priorityClasses, { metadata: { name: 'batch' }, value: 10 }),
    create(0, RESOURCES.priorityClasses, { metadata: { name: 'serving' }, value: SERVING_PRIORITY }),
    create(0, RESOURCES.reprievePolicies, {
      metadata: { name: 'batch' },
      spec: { match: { priorityClassNames: ['batch'] } },
    }),
    ...batch(random),
    ...peak('checkout', 150 * SECOND, 330 * SECOND, 4),
    ...peak('search', 156 * SECOND, 360 * SECOND, 2),
    ...peak('live', 480 * SECOND, 640 * SECOND, 5),
  ];
  return {
    nodes: Array.from({ length: NODES }, (_, index) => nodeSpec(`node-${index + 1}`)),
    actions: actions.sort((a, b) => a.atMs - b.atMs),
    endMs: 900 * SECOND,
  };
}

function batch(random: Random): ScenarioAction[] {
  const actions: ScenarioAction[] = [];
  const soon = (): number => random.integer(1, 20) * SECOND;
  for (let index = 1; index <= 5; index++) {
    actions.push(create(soon(), RESOURCES.jobs, job(`train-${index}`, random)));
    actions.push(create(soon(), RESOURCES.statefulSets, notebook(`notebook-${index}`, random)));
  }
  for (let index = 1; index <= 3; index++) {
    const { metadata, spec } = worker(random, { cpu: '3', stateMi: [256, 1024], workSeconds: [420, 560] });
    actions.push(
      create(soon(), RESOURCES.pods, { metadata: { ...metadata, name: `batch-${index}`, namespace: 'default' }, spec }),
    );
  }
  actions.push(create(soon(), RESOURCES.deployments, crawler(random)));
  return actions;
}

function job(name: string, random: Random): object {
  const podTemplate = worker(random, { cpu: '3', stateMi: [512, 2048], workSeconds: [420, 700] });
  return {
    metadata: { name, namespace: 'default' },
    spec: {
      backoffLimit: 0,
      podFailurePolicy: {
        rules: [{ action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] }],
      },
      template: { ...podTemplate, spec: { ...podTemplate.spec, restartPolicy: 'Never' } },
    },
  };
}

function notebook(name: string, random: Random): object {
  return replicated(name, 1, worker(random, { cpu: '2', stateMi: [256, 1024] }), { serviceName: name });
}

function crawler(random: Random): object {
  return replicated('crawler', 4, worker(random, { cpu: '2', stateMi: [128, 512] }));
}

/** Serving pods that come all at once and leave together. */
export function peak(name: string, fromMs: number, untilMs: number, replicas: number): ScenarioAction[] {
  const template = {
    metadata: { annotations: { 'sim.reprieve.dev/termination-seconds': '2' } },
    spec: podSpec('serving', '4'),
  };
  return [
    create(fromMs, RESOURCES.deployments, replicated(name, replicas, template)),
    { atMs: untilMs, kind: 'delete', type: RESOURCES.deployments, name },
  ];
}

interface WorkerShape {
  readonly cpu: string;
  readonly stateMi: readonly [number, number];
  /** Absent: it never ends. */
  readonly workSeconds?: readonly [number, number];
}

function worker(random: Random, { cpu, stateMi, workSeconds }: WorkerShape): { metadata: object; spec: object } {
  const annotations: Record<string, string> = {
    'sim.reprieve.dev/memory': `${random.integer(...stateMi)}Mi`,
    'sim.reprieve.dev/termination-seconds': random.next() < 0.5 ? '30' : String(random.integer(1, 4)),
  };
  if (workSeconds) annotations['sim.reprieve.dev/work-seconds'] = String(random.integer(...workSeconds));
  return { metadata: { annotations }, spec: podSpec('batch', cpu) };
}

function podSpec(priorityClassName: string, cpu: string): object {
  return {
    priorityClassName,
    terminationGracePeriodSeconds: 30,
    containers: [{ name: 'main', image: 'registry.example/worker:1', resources: { requests: { cpu, memory: '2Gi' } } }],
  };
}

function replicated(
  name: string,
  replicas: number,
  template: { metadata: object; spec: object },
  more: object = {},
): object {
  const labels = { app: name };
  return {
    metadata: { name, namespace: 'default' },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: { ...template, metadata: { ...template.metadata, labels } },
      ...more,
    },
  };
}

function create(atMs: number, type: ResourceType, object: object): ScenarioAction {
  return { atMs, kind: 'create', type, object };
}
