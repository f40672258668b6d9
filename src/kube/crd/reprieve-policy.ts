import { RESOURCES } from '../resources.ts';
import { conditionPath, type CustomResource } from './definition.ts';
import {
  conditions,
  described,
  duration,
  type Infer,
  integer,
  labelSelector,
  list,
  object,
  oneOf,
  optional,
  quantity,
  text,
  withDefault,
} from './schema.ts';

/** What a policy says where its author said nothing. The schema and the projection both take it from here. */
export const POLICY_DEFAULTS = {
  precedence: 0,
  preemption: { decision: 'Adaptive', maxDelay: '60s', onFailure: 'Evict', freshFor: '0s' },
  checkpoint: { backend: 'Auto', sockets: 'Close', volumes: 'EmptyDir' },
  schedule: { every: '0s' },
  store: { durability: 'Node', ttl: '24h', maxBytes: '0' },
  restore: { nodes: 'Any', attempts: 2, onFailure: 'ColdStart', maxWait: '24h', onContainerRestart: 'Cold' },
} as const;

const { preemption, checkpoint, schedule, store, restore } = POLICY_DEFAULTS;

const spec = described(
  'Which pods are saved before they are preempted, and how.',
  object({
    match: described(
      'All given parts must select the pod. A policy that gives none selects every pod outside kube-system.',
      withDefault(
        object({
          namespaceSelector: described('Labels of the namespace.', optional(labelSelector)),
          podSelector: described('Labels of the pod.', optional(labelSelector)),
          priorityClassNames: described(
            'The pod has one of these priority classes.',
            optional(list(text(253, { minLength: 1 }), 64, { minItems: 1, 'x-kubernetes-list-type': 'set' })),
          ),
        }),
        {},
      ),
    ),
    precedence: described(
      'Where several policies select a pod, the highest wins; then the older one, then the name.',
      withDefault(integer(-1_000_000, 1_000_000), POLICY_DEFAULTS.precedence),
    ),
    preemption: described(
      'What happens when a selected pod has to make room.',
      withDefault(
        object({
          decision: described(
            'Adaptive: whichever of saving and evicting costs less work. Always: save. Never: evict.',
            withDefault(oneOf('Adaptive', 'Always', 'Never'), preemption.decision),
          ),
          maxDelay: described(
            'The longest a preemptor waits for saving, beyond what the plan promised. Open decisions follow a shorter one at once.',
            withDefault(duration('1s', '1h'), preemption.maxDelay),
          ),
          onFailure: described(
            'When saving fails. Evict: preempt it as Kubernetes does. Refuse: it keeps running, the preemptor looks elsewhere; this also holds for what was decided before.',
            withDefault(oneOf('Evict', 'Refuse'), preemption.onFailure),
          ),
          freshFor: described(
            'A checkpoint younger than this may be used instead of a new one; what was done since is lost. 0s: never.',
            withDefault(duration('0s', '24h'), preemption.freshFor),
          ),
        }),
        {},
      ),
    ),
    checkpoint: described(
      'How a pod is saved.',
      withDefault(
        object({
          backend: described(
            'Direct: the agent with the runtime, frozen until it is gone. Kubelet: the checkpoint API of the kubelet. Auto: Direct where the node can.',
            withDefault(oneOf('Auto', 'Direct', 'Kubelet'), checkpoint.backend),
          ),
          sockets: described(
            'Established TCP connections. Close: they are closed. Refuse: a pod that has one is not saved.',
            withDefault(oneOf('Close', 'Refuse'), checkpoint.sockets),
          ),
          volumes: described(
            'EmptyDir: the files of emptyDir volumes and /dev/shm are saved. None: they come back empty.',
            withDefault(oneOf('EmptyDir', 'None'), checkpoint.volumes),
          ),
        }),
        {},
      ),
    ),
    schedule: described(
      'Checkpoints without a preemption.',
      withDefault(
        object({
          every: described(
            'Distance between two checkpoints. 0s: none are made.',
            withDefault(duration('0s', '168h'), schedule.every),
          ),
        }),
        {},
      ),
    ),
    store: described(
      'Where checkpoints are kept.',
      withDefault(
        object({
          durability: described(
            'Node: on the disk of the node. Store: the node may be lost; the pod is evicted once the store has it.',
            withDefault(oneOf('Node', 'Store'), store.durability),
          ),
          ttl: described(
            'How long a checkpoint that nobody needs any more is kept.',
            withDefault(duration('1m', '8760h'), store.ttl),
          ),
          maxBytes: described('The largest checkpoint of one pod. 0: no limit.', withDefault(quantity, store.maxBytes)),
        }),
        {},
      ),
    ),
    restore: described(
      'How a saved pod comes back.',
      withDefault(
        object({
          nodes: described(
            'Any: every compatible node. Same: only the node it ran on.',
            withDefault(oneOf('Any', 'Same'), restore.nodes),
          ),
          attempts: described('How many nodes try to restore it.', withDefault(integer(1, 10), restore.attempts)),
          onFailure: described(
            'When all attempts failed. ColdStart: it starts from nothing. Hold: it waits for a decision by hand.',
            withDefault(oneOf('ColdStart', 'Hold'), restore.onFailure),
          ),
          maxWait: described(
            'A ticket that no pod claimed for this long is abandoned.',
            withDefault(duration('1m', '8760h'), restore.maxWait),
          ),
          onContainerRestart: described(
            'A later restart of a restored container. Cold: from nothing. fromLatest: from the latest checkpoint.',
            withDefault(oneOf('Cold', 'fromLatest'), restore.onContainerRestart),
          ),
        }),
        {},
      ),
    ),
  }),
);

const pods = (description: string) => described(description, optional(integer(0)));

const status = described(
  'How the policy works in the cluster as it is; at most ten seconds old while something changes.',
  object({
    observedGeneration: described('The generation of the spec that was looked at.', optional(integer(0))),
    conditions: described(
      'Accepted: what it says can work. Conflicted: it shares pods with another policy of its precedence (SamePrecedence), or others rule all of its pods (Shadowed).',
      optional(conditions),
    ),
    selectedPods: pods('Pods that it selects, of those that hold room or wait for it.'),
    rulingPods: pods('Those of them that no policy before it selects.'),
    protectedPods: pods('Those of these that would be saved if they had to go now.'),
  }),
);

export type ReprievePolicySpec = Infer<typeof spec>;
export type ReprievePolicyStatus = Infer<typeof status>;

export const reprievePolicy: CustomResource = {
  resource: RESOURCES.reprievePolicies,
  shortName: 'rpol',
  description:
    'ReprievePolicy selects pods that are checkpointed instead of killed when a more important pod needs their room.',
  spec,
  status,
  // The columns without a priority stay within 80 characters beside a name of 20.
  columns: [
    { name: 'Decision', type: 'string', jsonPath: '.spec.preemption.decision', description: 'When pods are saved.' },
    {
      name: 'Precedence',
      type: 'integer',
      jsonPath: '.spec.precedence',
      description: 'The highest that selects a pod wins.',
    },
    {
      name: 'Protected',
      type: 'integer',
      jsonPath: '.status.protectedPods',
      description: 'Pods that it protects now.',
    },
    {
      name: 'Conflicted',
      type: 'string',
      jsonPath: conditionPath('Conflicted'),
      description: 'Another policy disputes its pods.',
    },
    {
      name: 'Accepted',
      type: 'string',
      jsonPath: conditionPath('Accepted'),
      description: 'What it says can work.',
      priority: 1,
    },
    {
      name: 'Selected',
      type: 'integer',
      jsonPath: '.status.selectedPods',
      description: 'Pods that it selects.',
      priority: 1,
    },
    {
      name: 'Ruling',
      type: 'integer',
      jsonPath: '.status.rulingPods',
      description: 'Pods for which it is the policy.',
      priority: 1,
    },
    {
      name: 'Max-Delay',
      type: 'string',
      jsonPath: '.spec.preemption.maxDelay',
      description: 'The longest a preemptor waits.',
      priority: 1,
    },
    {
      name: 'On-Failure',
      type: 'string',
      jsonPath: '.spec.preemption.onFailure',
      description: 'When saving fails.',
      priority: 1,
    },
    {
      name: 'Every',
      type: 'string',
      jsonPath: '.spec.schedule.every',
      description: 'Distance of scheduled checkpoints.',
      priority: 1,
    },
    {
      name: 'Durability',
      type: 'string',
      jsonPath: '.spec.store.durability',
      description: 'Where checkpoints are kept.',
      priority: 1,
    },
    {
      name: 'Restore',
      type: 'string',
      jsonPath: '.spec.restore.nodes',
      description: 'Where pods come back.',
      priority: 1,
    },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Time since creation.' },
  ],
};
