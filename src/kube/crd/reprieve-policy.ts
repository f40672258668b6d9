import { RESOURCES } from '../resources.ts';
import { CHECKPOINT_DEFAULTS, maxBytes, sockets, volumes } from './checkpoint-rules.ts';
import { conditionPath, type CustomResource } from './definition.ts';
import { identityLabels } from './displacement.ts';
import {
  conditions,
  described,
  duration,
  type Infer,
  integer,
  labelSelector,
  list,
  listByKey,
  object,
  oneOf,
  optional,
  text,
  withDefault,
} from './schema.ts';

/** What a policy says where its author said nothing. The schema and the projection both take it from here. */
export const POLICY_DEFAULTS = {
  precedence: 0,
  preemption: { decision: 'Adaptive', maxDelay: '60s', onFailure: 'Evict', freshFor: '0s' },
  displacement: { servingPods: 'Evict' },
  checkpoint: { sockets: CHECKPOINT_DEFAULTS.sockets, volumes: CHECKPOINT_DEFAULTS.volumes },
  store: { ttl: '24h', maxBytes: CHECKPOINT_DEFAULTS.maxBytes },
  restore: { nodes: 'Any', attempts: 2, onFailure: 'ColdStart', maxWait: '24h', identityLabels: [] },
} as const;

const { preemption, displacement, store, restore } = POLICY_DEFAULTS;

const spec = described(
  'Which pods are saved before they are preempted, and how.',
  object({
    match: described(
      'All given parts must select the pod. A policy that gives none selects every pod outside kube-system and reprieve-system. Pods of controllers that the selectors of the webhook configuration leave out are not saved.',
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
            'The longest a preemptor waits for saving, beyond what the plan promised. Open displacements follow a shorter one at once.',
            withDefault(duration('1s', '1h'), preemption.maxDelay),
          ),
          onFailure: described(
            'When saving fails. Evict: preempt it as Kubernetes does. Refuse: it keeps running, the preemptor looks elsewhere; this also holds for what was decided before. A pod of the priority of system-cluster-critical or above displaces it all the same.',
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
    displacement: described(
      'What happens when a selected pod is to leave its node for another reason.',
      withDefault(
        object({
          servingPods: described(
            'What an eviction (kubectl drain) does with a ready pod to which a Service with an address sends traffic. Evict: the pod is not saved, and leaves the Service at once. Save: the pod is saved; until its readiness probe fails, the Service still sends traffic to the frozen pod.',
            withDefault(oneOf('Evict', 'Save'), displacement.servingPods),
          ),
        }),
        {},
      ),
    ),
    checkpoint: described(
      'How a pod is saved.',
      withDefault(
        object({
          sockets,
          volumes,
        }),
        {},
      ),
    ),
    store: described(
      'How long and how large checkpoints may be.',
      withDefault(
        object({
          ttl: described(
            'How long a checkpoint that a user made (reason Manual) is kept after its state was taken, or after it failed. A ticket that names it keeps it longer. For a pod that is gone, the longest ttl of the policies that select its namespace counts. The checkpoint of a displaced pod follows its ticket instead.',
            withDefault(duration('1m', '8760h'), store.ttl),
          ),
          maxBytes,
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
          identityLabels: described(
            'Keys of labels whose values tell the pods of one controller apart, for controllers other than those of Kubernetes: a pod is continued by the new pod of that controller with the same values. Without them, by the pod of the same name; a pod whose controller generates names is then evicted unsaved.',
            withDefault(identityLabels, restore.identityLabels),
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
      'Accepted: what it says can work. Conflicted: it shares pods with another policy of its precedence (SamePrecedence), or others rule all of its pods (Shadowed). Restorable: pods of controllers would be restored after an eviction; where it is False, they are evicted unsaved.',
      optional(conditions),
    ),
    selectedPods: pods('Pods that it selects, of those that hold room or wait for it.'),
    rulingPods: pods('Selected pods whose effective policy this is.'),
    protectedPods: pods('Pods of this effective policy that would be saved if they were preempted now.'),
    unprotectedPods: described(
      'Pods of this effective policy that would be evicted unsaved now, by reason: that of their condition reprieve.dev/Checkpointable, or the one that Events of such an eviction name.',
      optional(listByKey(object({ reason: text(128, { minLength: 1 }), pods: integer(1) }), 'reason', 64)),
    ),
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
      name: 'Restore',
      type: 'string',
      jsonPath: '.spec.restore.nodes',
      description: 'Where pods come back.',
      priority: 1,
    },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Time since creation.' },
  ],
};
