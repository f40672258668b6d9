import { CAUSE_SCHEMAS, numPDBViolations, preemptor } from '../cause-records.ts';
import { maxBytes, sockets, volumes } from './checkpoint-rules.ts';
import {
  described,
  duration,
  type Infer,
  integer,
  list,
  name,
  object,
  oneOf,
  optional,
  type Rule,
  text,
  timestamp,
  uid,
} from './schema.ts';

const namespace = text(63, { minLength: 1 });
/** Keys of labels. */
export const identityLabels = list(
  text(317, { minLength: 1, pattern: '^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$' }),
  8,
  { 'x-kubernetes-list-type': 'set' },
);
export const restore = object({
  nodes: oneOf('Any', 'Same'),
  attempts: integer(1, 10),
  onFailure: oneOf('ColdStart', 'Hold'),
  maxWait: duration('0s', '8760h'),
  identityLabels: optional(identityLabels),
});

const decidedAt = timestamp;
const deadline = described('When saving must be done.', timestamp);
const inOrder: Rule = { rule: 'self.deadline >= self.decidedAt', message: 'the deadline comes after the decision' };
const onFailure = oneOf('Evict', 'Refuse');
const checkpoint = described('The PodCheckpoint; absent for Evict.', optional(name));
const terms = described(
  'What else its policy promised; absent for Evict.',
  optional(
    object({
      policy: name,
      maxDelay: duration('0s', '8760h'),
      checkpoint: described('How the pod is saved.', optional(object({ sockets, volumes, maxBytes }))),
      restore,
    }),
  ),
);

const cause = described(
  'Why the pods are displaced: exactly one member.',
  object(CAUSE_SCHEMAS, [
    {
      rule: `[${Object.keys(CAUSE_SCHEMAS)
        .map((member) => `has(self.${member})`)
        .join(', ')}].exists_one(given, given)`,
      message: 'a displacement has exactly one cause',
    },
  ]),
);

export const displacement = described(
  'The whole displacement of this pod: after a crash Reprieve carries it on from any one of its tickets. When a displacement of higher rank takes over the saved pod, Reprieve replaces this field.',
  object(
    {
      id: text(128, { minLength: 1 }),
      cause,
      pods: described(
        'All pods of the displacement; of a preemption the most important one first.',
        list(
          object(
            {
              namespace,
              name,
              uid,
              node: described('The node it is moved off.', name),
              plan: described(
                'Save: a checkpoint is made. Reuse: one that exists is recent enough. Evict: the pod is evicted as it is.',
                oneOf('Save', 'Reuse', 'Evict'),
              ),
              checkpoint,
              onFailure,
              terms,
            },
            [
              {
                rule: "self.plan == 'Evict' || has(self.checkpoint)",
                message: 'a pod that is to be saved needs a checkpoint',
              },
            ],
          ),
          512,
        ),
      ),
      commit: described(
        'AllSaved: no pod is evicted before all are saved. EachSaved: each as soon as it is saved itself.',
        oneOf('AllSaved', 'EachSaved'),
      ),
      decidedAt,
      deadline,
    },
    [inOrder],
  ),
);

/** As revision 4 of the CRDs recorded a displacement, which was always a preemption. Read, and never written. */
export const decision = described(
  'Deprecated: the displacement as an earlier version recorded it. Its tickets are carried on.',
  object(
    {
      id: text(128, { minLength: 1 }),
      preemptor,
      node: name,
      victims: list(
        object({
          namespace,
          name,
          uid,
          action: oneOf('checkpoint', 'reuse', 'evict'),
          checkpoint,
          onFailure,
          terms,
        }),
        512,
      ),
      numPDBViolations,
      decidedAt,
      deadline,
    },
    [inOrder],
  ),
);

export type DisplacementRecord = Infer<typeof displacement>;
export type DecisionRecord = Infer<typeof decision>;
