import { CAUSE_KINDS } from '../cause-records.ts';
import { RESOURCES } from '../resources.ts';
import { maxBytes, sockets, volumes } from './checkpoint-rules.ts';
import { conditionPath, type CustomResource } from './definition.ts';
import {
  boolean,
  conditions,
  described,
  digest,
  type Infer,
  integer,
  listByKey,
  name,
  object,
  oneOf,
  optional,
  text,
  timestamp,
  uid,
  unchanged,
  unchangedIfAny,
} from './schema.ts';

/** As revision 5 of the CRDs recorded a request. Read for one release, and never written. */
const old = {
  nodeName: described('Deprecated: `node`, as an earlier version recorded it.', optional(name)),
  keepFrozen: described('Deprecated: `hold`, as an earlier version recorded it.', optional(boolean)),
  deadline: described('Deprecated: `thawAt`, as an earlier version recorded it.', optional(timestamp)),
};

const WHAT = 'the request for a checkpoint';

const spec = described(
  'The request to the node. Nothing but release ever changes: another checkpoint is another object.',
  object(
    {
      pod: described('The pod to save, in the namespace of this object.', object({ name, uid })),
      node: described('The node it runs on; the agent of that node carries out the request.', optional(name)),
      reason: described('Why it is made.', oneOf(...CAUSE_KINDS)),
      hold: described(
        'UntilDeleted: the pod stays frozen after it was saved, until it is deleted, until release is set, or until thawAt. None, or absent: the pod runs on.',
        optional(oneOf('UntilDeleted', 'None')),
      ),
      thawAt: described(
        'After this the agent neither begins to save the pod nor keeps it frozen; at the latest an hour after the freeze. Absent: five minutes after it, and a second later for each 16 MiB of memory.',
        optional(timestamp),
      ),
      owner: described(
        'For what it is made, which says how long it is kept. Absent: a user made it, and store.ttl of the policy of its pod holds.',
        optional(object({ ticket: described('The Reprieve of the pod.', name) })),
      ),
      release: described(
        'Why no displacement needs the pod frozen any more. Set once; then the agent ends the dump and thaws the pod, unless the pod is being deleted, and says so in the condition Released. Reprieve deletes the object when no ticket needs the state.',
        optional(object({ message: text(1024, { minLength: 1 }) })),
      ),
      sockets,
      volumes,
      maxBytes,
      ...old,
    },
    [
      unchanged(WHAT, 'pod', 'reason', 'sockets', 'volumes', 'maxBytes'),
      unchangedIfAny(WHAT, 'node', 'hold', 'thawAt', 'owner', ...Object.keys(old)),
      {
        rule: '!has(oldSelf.release) || (has(self.release) && self.release == oldSelf.release)',
        message: 'a release is final',
      },
      { rule: 'has(self.node) != has(self.nodeName)', message: 'a request for a checkpoint names one node' },
      {
        rule: "!has(self.hold) || self.hold != 'UntilDeleted' || has(self.thawAt)",
        message: 'a pod that is kept frozen needs thawAt',
      },
    ],
  ),
);

const status = described(
  'What came of it, written by the agent.',
  object({
    observedGeneration: optional(integer(0)),
    conditions: described(
      'Ready: saved and verified. Frozen: the pod is frozen. Failed: it could not be saved, and runs on. Released: the agent has carried out spec.release.',
      optional(conditions),
    ),
    containers: described(
      'One entry for each saved container.',
      optional(
        listByKey(
          object({
            name,
            imageDigest: described(
              'Digest of the image it ran; it is restored only into the same.',
              optional(text(512)),
            ),
            bytes: optional(integer(0)),
            digest: optional(digest),
          }),
          'name',
          1024, // a pod may have as many as fit into its object
        ),
      ),
    ),
    location: described(
      'Where the state lies.',
      optional(
        object({
          node: described('The node that holds it on its disk.', name),
          reference: described(
            'A directory on that node, or the reference in the store.',
            text(1024, { minLength: 1 }),
          ),
        }),
      ),
    ),
    compatibility: described('It can be restored on nodes whose label has this value.', optional(text(63))),
    thawAt: described(
      'When the agent thaws the frozen pod, even if the API server is unreachable then, and later only where CRIU has not finished: the earliest of spec.thawAt, or the limit without it, and the moment at which a liveness probe would kill the pod.',
      optional(timestamp),
    ),
    startedAt: described('The agent began.', optional(timestamp)),
    progress: described(
      'How far the dump is; absent before the pod is frozen, and when the dump has ended.',
      optional(
        object({
          writtenBytes: described('Bytes on the disk so far.', integer(0)),
          expectedBytes: described('Estimated size of the state.', optional(integer(0))),
          bytesPerSecond: described('Mean speed of this dump.', integer(0)),
          percent: described('Written share of the estimate; never 100 before the end.', optional(integer(0))),
        }),
      ),
    ),
    takenAt: described('The moment the pod was frozen: the state is from it.', optional(timestamp)),
    completedAt: described('It was verified, or had failed.', optional(timestamp)),
    bytes: described('Size of all it consists of.', optional(integer(0))),
    manifestDigest: described('Digest of the manifest, which lists the digests of all files.', optional(digest)),
  }),
);

export type PodCheckpointSpec = Infer<typeof spec>;
export type PodCheckpointStatus = Infer<typeof status>;

export const podCheckpoint: CustomResource = {
  resource: RESOURCES.podCheckpoints,
  shortName: 'pckpt',
  description: 'PodCheckpoint is the request to a node to save one pod, and the record of what came of it.',
  spec,
  status,
  selectable: ['.spec.node', '.spec.nodeName'],
  columns: [
    { name: 'Pod', type: 'string', jsonPath: '.spec.pod.name', description: 'The saved pod.' },
    { name: 'Node', type: 'string', jsonPath: '.spec.node', description: 'Where it ran.', priority: 1 },
    { name: 'Ready', type: 'string', jsonPath: conditionPath('Ready'), description: 'Saved and verified.' },
    { name: 'Frozen', type: 'string', jsonPath: conditionPath('Frozen'), description: 'The pod is frozen.' },
    {
      name: 'Released',
      type: 'string',
      jsonPath: conditionPath('Released'),
      description: 'The agent has carried out spec.release; empty while spec.release is not set.',
    },
    {
      name: 'Failed',
      type: 'string',
      jsonPath: conditionPath('Failed'),
      description: 'It could not be saved.',
      priority: 1,
    },
    {
      name: 'Percent',
      type: 'integer',
      jsonPath: '.status.progress.percent',
      description: 'How far the dump is; empty before and after.',
    },
    { name: 'Bytes', type: 'integer', jsonPath: '.status.bytes', description: 'Size.' },
    {
      name: 'Taken',
      type: 'date',
      jsonPath: '.status.takenAt',
      description: 'The moment the saved state is from.',
      priority: 1,
    },
    { name: 'Hold', type: 'string', jsonPath: '.spec.hold', description: 'Whether the pod stays frozen.', priority: 1 },
    { name: 'Thaw-At', type: 'date', jsonPath: '.status.thawAt', description: 'When it is thawed.', priority: 1 },
    {
      name: 'Release',
      type: 'string',
      jsonPath: '.spec.release.message',
      description: 'Why not any more.',
      priority: 1,
    },
    { name: 'Ticket', type: 'string', jsonPath: '.spec.owner.ticket', description: 'For what.', priority: 1 },
    { name: 'Reason', type: 'string', jsonPath: '.spec.reason', description: 'Why it was made.', priority: 1 },
    {
      name: 'Location',
      type: 'string',
      jsonPath: '.status.location.reference',
      description: 'Where it lies.',
      priority: 1,
    },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Time since creation.' },
  ],
};
