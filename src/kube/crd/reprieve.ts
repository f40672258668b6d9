import { RESOURCES } from '../resources.ts';
import { maxBytes, sockets, volumes } from './checkpoint-rules.ts';
import type { CustomResource } from './definition.ts';
import {
  anyObject,
  conditions,
  described,
  duration,
  type Infer,
  integer,
  list,
  map,
  name,
  object,
  oneOf,
  optional,
  quantity,
  type Rule,
  text,
  timestamp,
  uid,
} from './schema.ts';

const namespace = text(63, { minLength: 1 });
/** Priorities are int32, system ones included. */
const priority = integer(-2_147_483_648, 2_147_483_647);

const restore = object({
  nodes: oneOf('Any', 'Same'),
  attempts: integer(1, 10),
  onFailure: oneOf('ColdStart', 'Hold'),
  maxWait: duration('0s', '8760h'),
});

const decision = described(
  'The decision this pod fell victim to, in full: any one ticket is enough to carry it on after a crash. Another one replaces it where a higher preemptor takes over what this one has saved.',
  object(
    {
      id: text(128, { minLength: 1 }),
      preemptor: described('The pod that needs the room.', object({ namespace, name, uid, priority })),
      node: name,
      victims: described(
        'All victims, highest priority first.',
        list(
          object(
            {
              namespace,
              name,
              uid,
              action: oneOf('checkpoint', 'reuse', 'evict'),
              checkpoint: described('The PodCheckpoint; absent for evict.', optional(name)),
              onFailure: oneOf('Evict', 'Refuse'),
              terms: described(
                'What else its policy promised; absent for evict.',
                optional(
                  object({
                    policy: name,
                    maxDelay: duration('0s', '8760h'),
                    checkpoint: described('How the pod is saved.', optional(object({ sockets, volumes, maxBytes }))),
                    restore,
                  }),
                ),
              ),
            },
            [
              {
                rule: "self.action == 'evict' || has(self.checkpoint)",
                message: 'a victim that is to be saved needs a checkpoint',
              },
            ],
          ),
          512,
        ),
      ),
      numPDBViolations: integer(0),
      decidedAt: timestamp,
      deadline: described('When saving must be done.', timestamp),
    },
    [{ rule: 'self.deadline >= self.decidedAt', message: 'the deadline comes after the decision' }],
  ),
);

/** Required fields that never change. */
function unchanged(...fields: readonly string[]): Rule {
  return {
    rule: fields.map((field) => `self.${field} == oldSelf.${field}`).join(' && '),
    message: 'a ticket is immutable',
  };
}

/** Optional ones: neither added, nor removed, nor changed. */
function unchangedIfAny(...fields: readonly string[]): Rule {
  const isUnchanged = (field: string): string =>
    `has(self.${field}) == has(oldSelf.${field}) && (!has(self.${field}) || self.${field} == oldSelf.${field})`;
  return { rule: fields.map(isUnchanged).join(' && '), message: 'a ticket is immutable' };
}

const spec = described(
  'What the pod was, and why it had to go. Nothing but the decision ever changes.',
  object(
    {
      pod: described(
        'The displaced pod.',
        object({
          name,
          uid,
          completionIndex: described('Of an indexed Job.', optional(integer(0, 2_147_483_647))),
          displacements: described('How often this work was displaced before.', integer(0, 2_147_483_647)),
          template: described(
            'Labels, annotations and spec of the pod, without what belongs to that one incarnation (node, generated volumes).',
            anyObject,
          ),
        }),
      ),
      owner: described(
        'Its controller; absent for a bare pod.',
        optional(object({ apiVersion: text(317, { minLength: 1 }), kind: text(63, { minLength: 1 }), name, uid })),
      ),
      priority,
      requests: described('What kube-scheduler reserved for it.', map(quantity, 64)),
      nodeSelector: described(
        'Node labels it insists on.',
        optional(
          list(
            object({
              key: text(317, { minLength: 1 }),
              operator: oneOf('In', 'NotIn', 'Exists', 'DoesNotExist', 'Gt', 'Lt'),
              values: optional(list(text(63), 256)),
            }),
            64,
          ),
        ),
      ),
      tolerations: optional(
        list(
          object({
            key: optional(text(317)),
            operator: oneOf('Exists', 'Equal'),
            value: optional(text(63)),
            effect: optional(text(32)),
          }),
          64,
        ),
      ),
      restoreShape: described(
        'Digest over what must be equal in the pod that continues it.',
        text(128, { minLength: 1 }),
      ),
      decision,
      checkpoint: described('The PodCheckpoint that holds its state, or will.', name),
      restore: described('What its policy said when it was displaced.', restore),
      policy: described('Name of that policy.', name),
    },
    [
      unchanged('pod', 'priority', 'requests', 'restoreShape', 'checkpoint', 'restore', 'policy'),
      unchangedIfAny('owner', 'nodeSelector', 'tolerations'),
    ],
  ),
);

const status = described(
  'Where the ticket stands.',
  object({
    observedGeneration: optional(integer(0)),
    phase: described(
      'Saving: nothing is evicted yet. Displacing: it is being evicted. Waiting: it stands in the queue. Admitted: a pod has claimed it. Restoring: on its node. Held: every attempt failed, and its pod stays gated until a person decides (annotation reprieve.dev/decide: retry, cold or abandon). Restored, ColdStarted, Abandoned: final.',
      optional(
        oneOf(
          'Saving',
          'Displacing',
          'Waiting',
          'Admitted',
          'Restoring',
          'Held',
          'Restored',
          'ColdStarted',
          'Abandoned',
        ),
      ),
    ),
    phaseTime: described('When it entered the phase.', optional(timestamp)),
    conditions: described('Restored: it continues (True), it will not (False), not known yet.', optional(conditions)),
    claim: described('The pod that continues it.', optional(object({ name, uid }))),
    attempts: described('How often a node tried to restore it.', optional(integer(0))),
    failedNodes: described(
      'Nodes that could not restore it; none of them is tried again.',
      optional(
        list(
          object({
            node: name,
            pod: described('UID of the pod that was to be restored there.', uid),
            reason: text(128, { minLength: 1 }),
          }),
          32,
        ),
      ),
    ),
  }),
);

export type ReprieveSpec = Infer<typeof spec>;
export type ReprieveStatus = Infer<typeof status>;

export const reprieve: CustomResource = {
  resource: RESOURCES.reprieves,
  shortName: 'rpv',
  description:
    'Reprieve is the ticket of one displaced pod: what it was, where its state lies, where it stands in the queue.',
  spec,
  status,
  columns: [
    { name: 'Phase', type: 'string', jsonPath: '.status.phase', description: 'Where it stands.' },
    { name: 'Pod', type: 'string', jsonPath: '.spec.pod.name', description: 'The displaced pod.' },
    { name: 'Node', type: 'string', jsonPath: '.spec.decision.node', description: 'Where it ran.' },
    {
      name: 'Preemptor',
      type: 'string',
      jsonPath: '.spec.decision.preemptor.name',
      description: 'The pod that needed the room.',
    },
    { name: 'Continues-As', type: 'string', jsonPath: '.status.claim.name', description: 'The pod that continues it.' },
    {
      name: 'Checkpoint',
      type: 'string',
      jsonPath: '.spec.checkpoint',
      description: 'Where its state lies.',
      priority: 1,
    },
    {
      name: 'Priority',
      type: 'integer',
      jsonPath: '.spec.priority',
      description: 'Its place in the queue.',
      priority: 1,
    },
    {
      name: 'Attempts',
      type: 'integer',
      jsonPath: '.status.attempts',
      description: 'Attempts to restore it.',
      priority: 1,
    },
    {
      name: 'Policy',
      type: 'string',
      jsonPath: '.spec.policy',
      description: 'The policy that protected it.',
      priority: 1,
    },
    { name: 'Since', type: 'date', jsonPath: '.status.phaseTime', description: 'Time in this phase.' },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Time since creation.' },
  ],
};
