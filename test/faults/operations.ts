import type { RESOURCES } from '../../src/kube/resources.ts';
import type { NodeSpec } from '../../src/sim/nodes/node-spec.ts';
import type { Random } from '../../src/sim/random.ts';
import { RANK_LABEL } from './teams.ts';

/** A team stands in no API server (`teams.ts`). */
type Kind = keyof typeof RESOURCES | 'teams';

/** What users do to the cluster, as plain data. */
export type Operation =
  | { readonly verb: 'create'; readonly kind: Kind; readonly object: NamedObject }
  | { readonly verb: 'delete'; readonly kind: Kind; readonly name: string }
  | { readonly verb: 'patch'; readonly kind: Kind; readonly name: string; readonly patch: object };

interface NamedObject {
  readonly metadata: { readonly name: string; readonly [field: string]: unknown };
  readonly spec?: object;
  readonly [field: string]: unknown;
}

type Timed = Operation & { readonly atMs: number };

const SECOND = 1000;

/** Batch work that fills the nodes, more important pods that come for the room and leave, and policies that change meanwhile. */
export function drawOperations(random: Random, nodes: readonly NodeSpec[]): readonly Timed[] {
  return [
    create(0, 'priorityClasses', { metadata: { name: 'batch' }, value: 10 }),
    create(0, 'priorityClasses', { metadata: { name: 'serving' }, value: 1000 }),
    create(0, 'priorityClasses', { metadata: { name: 'urgent' }, value: 2000 }),
    ...policies(random),
    ...withChanges(random.fork('changes'), batch(random, nodes.length)),
    ...serving(random, nodes.length),
    ...(random.next() < 0.3 ? [budget(random)] : []),
  ];
}

function policies(random: Random): readonly Timed[] {
  const identityLabels = random.fork('identity').next() < 0.7 ? [RANK_LABEL] : [];
  const spec = policy(random, identityLabels);
  const timed: Timed[] = [create(0, 'reprievePolicies', { metadata: { name: 'batch' }, spec })];
  if (random.next() < 0.3) {
    const match = { podSelector: { matchLabels: { tier: 'special' } } };
    const spec = { ...policy(random, identityLabels), match, precedence: 5 };
    timed.push(create(0, 'reprievePolicies', { metadata: { name: 'special' }, spec }));
  }
  const system = random.fork('system');
  if (system.next() < 0.3) {
    const named = { key: 'kubernetes.io/metadata.name', operator: 'In', values: ['kube-system'] };
    const match = { priorityClassNames: ['batch'], namespaceSelector: { matchExpressions: [named] } };
    timed.push(create(0, 'reprievePolicies', { metadata: { name: 'system' }, spec: { ...policy(system, []), match } }));
  }
  for (let changes = random.integer(0, 2); changes > 0; changes--) {
    const atMs = random.integer(30, 230) * SECOND;
    const { preemption, restore } = policy(random, identityLabels);
    timed.push(
      random.next() < 0.2
        ? { atMs, verb: 'delete', kind: 'reprievePolicies', name: 'batch' }
        : { atMs, verb: 'patch', kind: 'reprievePolicies', name: 'batch', patch: { spec: { preemption, restore } } },
    );
  }
  return timed;
}

function policy(
  random: Random,
  identityLabels: readonly string[],
): {
  match: object;
  checkpoint?: object;
  store?: object;
  preemption: object;
  restore: object;
} {
  return {
    match: { priorityClassNames: ['batch'] },
    ...rules(random.fork('rules')),
    preemption: {
      decision: random.pick(['Always', 'Always', 'Always', 'Adaptive', 'Never']),
      maxDelay: `${random.pick([3, 15, 40])}s`,
      onFailure: random.pick(['Evict', 'Refuse']),
      freshFor: random.pick(['0s', '0s', '90s']),
    },
    restore: {
      nodes: random.pick(['Any', 'Any', 'Same']),
      attempts: random.integer(1, 3),
      onFailure: random.pick(['ColdStart', 'Hold']),
      maxWait: `${random.pick([60, 120, 240])}s`,
      identityLabels,
    },
  };
}

/** How pods are saved, where a policy says so: some of them cannot be. */
function rules(random: Random): { checkpoint?: object; store?: object } {
  if (random.next() < 0.7) return {};
  return {
    checkpoint: { sockets: random.pick(['Close', 'Refuse']), volumes: random.pick(['EmptyDir', 'None']) },
    store: { maxBytes: random.pick(['0', '1Gi']) },
  };
}

function batch(random: Random, nodes: number): readonly Timed[] {
  return Array.from({ length: random.integer(nodes + 1, 3 * nodes) }, (_, index) =>
    inNamespace(random.fork(`namespace ${index}`), work(random, index)),
  );
}

/** A few run where the webhook is not asked. */
function inNamespace(random: Random, created: Timed): Timed {
  if (random.next() >= 0.04 || created.verb !== 'create' || created.kind === 'teams') return created;
  const { object } = created;
  return { ...created, object: { ...object, metadata: { ...object.metadata, namespace: 'kube-system' } } };
}

function work(random: Random, index: number): Timed {
  const soon = (): number => random.integer(0, 12) * SECOND;
  const template = placed(random.fork(`place ${index}`), worker(random, `batch-${index}`));
  switch (random.integer(1, 8)) {
    case 1:
    case 2:
      return create(soon(), 'jobs', suspended(random, job(`train-${index}`, random, template)));
    case 3: {
      const set = replicated(`notebook-${index}`, random.integer(1, 2), template);
      const podManagementPolicy = random.pick(['OrderedReady', 'Parallel']);
      return create(soon(), 'statefulSets', { ...set, spec: { ...set.spec, podManagementPolicy } });
    }
    case 4:
      return create(soon(), 'deployments', replicated(`crawler-${index}`, random.integer(1, 3), template));
    case 5:
      return create(soon(), 'replicationControllers', controller(`indexer-${index}`, random.integer(1, 3), template));
    case 6: {
      const spec = { size: random.integer(1, 3), names: random.pick(['Kept', 'Generated']), template };
      return create(soon(), 'teams', { metadata: { name: `team-${index}` }, spec });
    }
    default:
      if (random.fork(`owner ${index}`).next() < 0.15)
        return create(soon(), 'pods', ownedByNobodyWeKnow(index, template));
      return create(soon(), 'pods', {
        metadata: { ...template.metadata, name: `bare-${index}`, namespace: 'default' },
        spec: template.spec,
      });
  }
}

/** Some are for one pool of nodes only, or may stay on a node that is being emptied, for a while or for ever. */
function placed(random: Random, template: Template): Template {
  const nodeSelector = random.next() < 0.15 ? { pool: random.pick(POOLS) } : undefined;
  const stays = { key: MAINTENANCE, operator: 'Exists', effect: 'NoExecute' };
  const tolerations = random.pick([[], [], [], [], [stays], [{ ...stays, tolerationSeconds: 15 }]]);
  const spec = {
    ...template.spec,
    ...(nodeSelector && { nodeSelector }),
    ...(tolerations.length > 0 && { tolerations }),
  };
  return { ...template, spec };
}

/** It is resumed before everything has to settle. */
function suspended(random: Random, object: NamedObject): NamedObject {
  return random.next() < 0.1 ? { ...object, spec: { ...object.spec, suspend: true } } : object;
}

/** The batch work, and what users do to their controllers later: at any time, so mostly while nothing is displaced. */
function withChanges(random: Random, created: readonly Timed[]): readonly Timed[] {
  const owners = created.flatMap((one) =>
    one.verb === 'create' && one.kind !== 'pods' && one.kind !== 'jobs' ? [one] : [],
  );
  const changes = Array.from({ length: random.integer(0, 3) }, (): readonly Timed[] => {
    if (owners.length === 0) return [];
    const { kind, object } = random.pick(owners);
    const { name } = object.metadata;
    const atMs = random.integer(30, 230) * SECOND;
    const change = random.next();
    if (change < 0.15) return [{ atMs, verb: 'delete', kind, name }];
    const size = random.integer(0, 3);
    const { template } = object.spec as { readonly template: object };
    const spec =
      change < 0.6 ? (kind === 'teams' ? { size } : { replicas: size }) : { template: withOtherImage(template) };
    return [{ atMs, verb: 'patch', kind, name, patch: { spec } }];
  });
  return [...created, ...changes.flat()];
}

/** The same template with another image; of that one, with the first. */
export function withOtherImage(template: unknown): object {
  const text = JSON.stringify(template);
  const [one, other] = text.includes(IMAGES[0]) ? IMAGES : [IMAGES[1], IMAGES[0]];
  return JSON.parse(text.replaceAll(one, other)) as object;
}

const IMAGES = ['registry.example/worker:1', 'registry.example/worker:2'] as const;
export const POOLS = ['a', 'b'] as const;
/** Key of the taint of a node that is being emptied. */
export const MAINTENANCE = 'example.com/maintenance';

/** Its controller is of a kind that nobody here knows, and makes no other one when it goes. */
function ownedByNobodyWeKnow(index: number, { metadata, spec }: Template): NamedObject {
  const owner = { apiVersion: 'flows.example/v1', kind: 'Flow', name: 'flow', uid: `flow-${index}`, controller: true };
  return {
    metadata: { ...metadata, name: `flow-${index}`, namespace: 'default', ownerReferences: [owner] },
    spec,
  };
}

function serving(random: Random, nodes: number): readonly Timed[] {
  return Array.from({ length: random.integer(3, nodes + 5) }, (_, index): readonly Timed[] => {
    const name = `high-${index}`;
    const fromMs = random.integer(20, 200) * SECOND;
    const untilMs = fromMs + random.integer(3, 90) * SECOND;
    const nodeSelector = random.fork(`pool ${name}`).next() < 0.25 ? { pool: random.pick(POOLS) } : undefined;
    const spec = {
      ...podSpec(random.pick(['serving', 'serving', 'urgent']), random.pick(['2', '4', '6', '8'])),
      ...(nodeSelector && { nodeSelector }),
    };
    const isDeployment = random.next() < 0.3;
    const metadata = { annotations: { [TERMINATION]: '2' } };
    const kind = isDeployment ? 'deployments' : 'pods';
    const object = isDeployment
      ? replicated(name, random.integer(1, 3), { metadata, spec })
      : { metadata: { ...metadata, name, namespace: 'default' }, spec };
    const comes = create(fromMs, kind, object);
    return random.next() < 0.2 ? [comes] : [comes, { atMs: untilMs, verb: 'delete', kind, name }];
  }).flat();
}

function budget(random: Random): Timed {
  const selector = { matchLabels: { app: `batch-${random.integer(0, 4)}` } };
  return create(random.integer(0, 60) * SECOND, 'podDisruptionBudgets', {
    metadata: { name: 'budget', namespace: 'default' },
    spec: { minAvailable: 1, selector },
  });
}

const TERMINATION = 'sim.reprieve.dev/termination-seconds';

interface Template {
  readonly metadata: { readonly annotations: object; readonly labels?: Readonly<Record<string, string>> };
  readonly spec: object;
}

export function worker(random: Random, app: string): Template {
  const annotations: Record<string, string> = {
    'sim.reprieve.dev/memory': `${random.pick([64, 512, 2048])}Mi`,
    [TERMINATION]: random.pick(['1', '30']),
  };
  const shape = random.fork(`rules ${app}`);
  if (shape.next() < 0.2) annotations['sim.reprieve.dev/connections'] = '1';
  if (shape.next() < 0.2) annotations['sim.reprieve.dev/volumes'] = '32Mi';
  if (random.next() < 0.4) annotations['sim.reprieve.dev/work-seconds'] = String(random.integer(20, 400));
  const labels = { app, tier: random.next() < 0.3 ? 'special' : 'common' };
  return { metadata: { annotations, labels }, spec: podSpec('batch', random.pick(['2', '3', '5', '7'])) };
}

export function podSpec(priorityClassName: string, cpu: string): object {
  return {
    priorityClassName,
    terminationGracePeriodSeconds: 30,
    containers: [{ name: 'main', image: IMAGES[0], resources: { requests: { cpu, memory: '1Gi' } } }],
  };
}

export function job(name: string, random: Random, template: Template): NamedObject {
  const isIndexed = random.next() < 0.4;
  const draws = random.fork(`job ${name}`);
  const completions = draws.integer(1, 3);
  const parallel = { completions, parallelism: draws.integer(1, completions) };
  const ignoresDisruptions = draws.next() < 0.7;
  return {
    metadata: { name, namespace: 'default' },
    spec: {
      backoffLimit: draws.pick([0, 1, 3, 6]),
      ...(isIndexed ? { completionMode: 'Indexed', completions: 2, parallelism: 2 } : parallel),
      ...(ignoresDisruptions && {
        podFailurePolicy: {
          rules: [{ action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] }],
        },
      }),
      template: { ...template, spec: { ...template.spec, restartPolicy: 'Never' } },
    },
  };
}

export function replicated(name: string, replicas: number, { metadata, spec }: Template): NamedObject {
  const labels = { app: name, ...metadata.labels };
  return {
    metadata: { name, namespace: 'default' },
    spec: {
      replicas,
      serviceName: name,
      selector: { matchLabels: { app: labels.app } },
      template: { metadata: { ...metadata, labels }, spec },
    },
  };
}

/** Of a ReplicationController, whose selector has no operators. */
function controller(name: string, replicas: number, template: Template): NamedObject {
  const { metadata, spec } = replicated(name, replicas, template);
  const { template: pods } = spec as { readonly template: { readonly metadata: { readonly labels: object } } };
  return { metadata, spec: { replicas, selector: pods.metadata.labels, template: pods } };
}

function create(atMs: number, kind: Kind, object: NamedObject): Timed {
  return { atMs, verb: 'create', kind, object };
}
