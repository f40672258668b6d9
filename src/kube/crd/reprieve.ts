import { REPLACED_BECAUSE, TICKET_PHASES } from '../../domain/ticket.ts';
import { RESOURCES } from '../resources.ts';
import type { CustomResource } from './definition.ts';
import { priority } from '../cause-records.ts';
import { decision, displacement, restore } from './displacement.ts';
import {
  anyObject,
  conditions,
  described,
  digest,
  type Infer,
  integer,
  list,
  map,
  name,
  object,
  oneOf,
  optional,
  quantity,
  text,
  timestamp,
  uid,
  unchanged,
  unchangedIfAny,
} from './schema.ts';

const spec = described(
  'What the pod was, and why it had to go. Nothing but the displacement ever changes.',
  object(
    {
      pod: described(
        'The displaced pod.',
        object({
          name,
          uid,
          completionIndex: described('Of an indexed Job.', optional(integer(0, 2_147_483_647))),
          identityLabels: described(
            'Of the labels that its policy names, those by which the pod is known that continues it.',
            optional(map(text(63), 8)),
          ),
          memoryLimitBytes: described(
            'Memory that its containers could use together; 0: as much as the node has.',
            optional(integer(0)),
          ),
          displacements: described('How often this work was displaced before.', integer(0, 2_147_483_647)),
          template: described(
            'Of a bare pod: what its creators gave it, and their names. Reprieve makes the pod again from that.',
            optional(anyObject),
          ),
        }),
      ),
      owner: described(
        'Its controller; absent for a bare pod.',
        optional(object({ apiVersion: text(317, { minLength: 1 }), kind: text(63, { minLength: 1 }), name, uid })),
      ),
      priority,
      requests: described('What kube-scheduler reserved for it.', map(quantity, 256)),
      restoreShape: described(
        'Digest over what must be equal in the pod that continues it.',
        text(512, { minLength: 1 }),
      ),
      displacement: optional(displacement),
      decision: optional(decision),
      checkpoint: described('The PodCheckpoint that holds its state, or will.', name),
      restore: described('What its policy said when it was displaced.', restore),
      policy: described('Name of that policy.', name),
    },
    [
      unchanged('a ticket', 'pod', 'priority', 'requests', 'restoreShape', 'checkpoint', 'restore', 'policy'),
      unchangedIfAny('a ticket', 'owner'),
      { rule: 'has(self.displacement) != has(self.decision)', message: 'a ticket has exactly one displacement' },
    ],
  ),
);

/** The newest are recorded. */
export const MAX_REPLACED_PODS = 16;

const status = described(
  'Where the ticket stands.',
  object({
    observedGeneration: optional(integer(0)),
    phase: described(
      'Saving: nothing is evicted yet. Displacing: it is being evicted. Waiting: it stands in the queue. Admitted: a pod has claimed it. Restoring: on its node. Held: every attempt failed, and its pod stays gated until a person decides (annotation reprieve.dev/decide: retry, cold or abandon). Restored, ColdStarted, Abandoned: final.',
      optional(oneOf(...TICKET_PHASES)),
    ),
    phaseTime: described('When it entered the phase.', optional(timestamp)),
    evictedTime: described(
      'When the deletion of the displaced pod was requested, by the clock of the API server. Only a pod created since then continues it.',
      optional(timestamp),
    ),
    conditions: described('Restored: it continues (True), it will not (False), not known yet.', optional(conditions)),
    waitsFor: described(
      'Its place in the queue, and what it waits for. Absent while it does not wait for room, and for tickets far back.',
      optional(text(4096)),
    ),
    blocked: described(
      'Why no node takes its pod now: the first reason of each node, and how many nodes have it. Absent while it does not wait for room.',
      optional(list(object({ reason: text(64, { minLength: 1 }), nodes: integer(1, 2_147_483_647) }), 32)),
    ),
    state: described(
      'Where its state lies and what it is, copied from its PodCheckpoint when its pod was evicted. Nodes restore that and nothing else.',
      optional(
        object(
          {
            node: described('The node that holds it on its disk.', name),
            reference: described('Its name there.', text(1024, { minLength: 1 })),
            manifestDigest: described('SHA-256 of its manifest, which has those of all files.', digest),
            compatibility: described('It can be restored on nodes whose label has this value.', optional(text(63))),
          },
          [{ rule: 'self == oldSelf', message: 'the state of a ticket is final' }],
        ),
      ),
    ),
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
    replacedPods: described(
      'Pods that were to continue it, and that Reprieve replaced; no node is to blame. NotPlaced: it was not bound to a node in time. NodesGone: the nodes that it requires are gone. Disrupted: it ended before it ran. AgentSilent: the agent of its node does not answer.',
      optional(
        list(
          object({
            pod: described('UID of the pod.', uid),
            reason: oneOf(...REPLACED_BECAUSE),
          }),
          MAX_REPLACED_PODS,
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
    {
      name: 'Node',
      type: 'string',
      jsonPath: '.spec.displacement.pods[0].node',
      description: 'Where it ran.',
    },
    {
      name: 'Preemptor',
      type: 'string',
      jsonPath: '.spec.displacement.cause.preemption.preemptor.name',
      description: 'The pod that needed the room.',
    },
    {
      name: 'Why',
      type: 'string',
      jsonPath: '.spec.displacement.cause.manual.why',
      description: 'Why a person asked to move it.',
      priority: 1,
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
