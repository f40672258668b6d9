/**
 * How each kind of cause is recorded in a ticket, in one table: its member of `spec.displacement.cause`, and the way there and
 * back. The CRD is made from it, tickets are written and read by it.
 */
import type { Cause, CauseKind, EvictionCause, ManualCause, PreemptionCause } from '../domain/displacement.ts';
import type { NodeName, PodUid } from '../domain/ids.ts';
import {
  described,
  type Infer,
  integer,
  name,
  object,
  oneOf,
  optional,
  type Schema,
  text,
  uid,
  withDefault,
} from './crd/schema.ts';
import { LONGEST_WISH } from './project/wish.ts';
import type { Wire } from './project/wire.ts';

/** Priorities are int32, system ones included. */
export const priority = integer(-2_147_483_648, 2_147_483_647);
export const preemptor = described(
  'The pod that needs the room.',
  object({ namespace: text(63, { minLength: 1 }), name, uid, priority }),
);
export const numPDBViolations = integer(0);

interface CauseRecord<Of extends Cause, Content> {
  /** Its member of `spec.displacement.cause`. */
  readonly member: string;
  readonly schema: Schema<Content>;
  write(cause: Of): Content;
  read(record: Wire<Content>): Of;
  /** What cannot be true of it; null where all can. `pods` are those of the displacement. */
  flawOf(cause: Of, pods: readonly PodPlace[]): string | null;
}

interface PodPlace {
  readonly uid?: string | null | undefined;
  readonly node?: string | null | undefined;
}

const preemption = object({ preemptor, node: described('Where that pod is to run.', name), numPDBViolations });

const PREEMPTION = {
  member: 'preemption',
  schema: described('kube-scheduler needs room on a node for a pending pod.', preemption),
  write: ({ preemptor: pod, node, numPdbViolations }: PreemptionCause) => ({
    preemptor: pod,
    node,
    numPDBViolations: numPdbViolations,
  }),
  read: (record: Wire<Infer<typeof preemption>>): PreemptionCause => ({
    kind: 'Preemption',
    preemptor: {
      namespace: record.preemptor?.namespace ?? '',
      name: record.preemptor?.name ?? '',
      uid: (record.preemptor?.uid ?? '') as PodUid,
      priority: record.preemptor?.priority ?? 0,
    },
    node: (record.node ?? '') as NodeName,
    numPdbViolations: record.numPDBViolations ?? 0,
  }),
  flawOf: ({ preemptor: pod, node }: PreemptionCause, pods: readonly PodPlace[]) => {
    if (!node || !pod.uid) return 'the preemption has no node or preemptor';
    if (pods.some(({ uid: victim }) => victim === pod.uid)) return 'the preemptor is its own victim';
    if (pods.some((victim) => victim.node !== node)) return 'a pod is on another node than the preemptor needs';
    return null;
  },
} as const satisfies CauseRecord<PreemptionCause, Infer<typeof preemption>>;

const manual = object({
  askedOn: described('The object whose annotation asks for it.', oneOf('Pod', 'Node')),
  why: described('The value of the annotation.', text(LONGEST_WISH, { minLength: 1 })),
});

const MANUAL = {
  member: 'manual',
  schema: described('A person asked for it, by an annotation.', manual),
  write: ({ askedOn, why }: ManualCause) => ({ askedOn, why }),
  read: ({ askedOn, why }: Wire<Infer<typeof manual>>): ManualCause => ({
    kind: 'Manual',
    askedOn: askedOn ?? 'Pod',
    why: why ?? '',
  }),
  flawOf: (_cause: ManualCause, pods: readonly PodPlace[]) =>
    pods.length === 1 ? null : 'a displacement by hand moves one pod',
} as const satisfies CauseRecord<ManualCause, Infer<typeof manual>>;

const eviction = object({
  by: described(
    'The request that waits: the deletion of the pod, or its eviction by the eviction API.',
    withDefault(oneOf('Deletion', 'Eviction'), 'Deletion'),
  ),
  requester: described('The user of the API server that is to delete the pod.', text(253, { minLength: 1 })),
  why: described('Reason of the condition DisruptionTarget with which the pod goes.', text(128)),
});

const EVICTION = {
  member: 'eviction',
  schema: described(
    'A user of the API server, such as kube-scheduler, is about to delete the pod, and waits until it is saved.',
    eviction,
  ),
  write: ({ by, requester, why }: EvictionCause) => ({ by, requester, why }),
  read: ({ by, requester, why }: Wire<Infer<typeof eviction>>): EvictionCause => ({
    kind: 'Eviction',
    by: by ?? 'Deletion',
    requester: requester ?? '',
    why: why ?? '',
  }),
  flawOf: (_cause: EvictionCause, pods: readonly PodPlace[]) =>
    pods.length === 1 ? null : 'a displacement for the deletion of a pod moves one pod',
} as const satisfies CauseRecord<EvictionCause, Infer<typeof eviction>>;

/** Kind of cause -> its record: a new kind is a row here. */
const RECORDS = { Preemption: PREEMPTION, Manual: MANUAL, Eviction: EVICTION } as const satisfies Record<
  CauseKind,
  unknown
>;
/** Every kind of cause. */
export const CAUSE_KINDS = Object.keys(RECORDS) as readonly CauseKind[];
/** The same, for whoever has a cause of any kind. */
const ROWS: Readonly<Record<CauseKind, CauseRecord<Cause, unknown>>> = RECORDS;

type ContentOf<K extends CauseKind> = Infer<(typeof RECORDS)[K]['schema']>;
type CauseMembers = { readonly [K in CauseKind as (typeof RECORDS)[K]['member']]?: ContentOf<K> };

/** The members of `spec.displacement.cause`, each optional. */
export const CAUSE_SCHEMAS = Object.fromEntries(
  Object.values(ROWS).map(({ member, schema }) => [member, optional(schema)]),
) as { readonly [K in CauseKind as (typeof RECORDS)[K]['member']]: Schema<ContentOf<K>, 'optional'> };

export function causeIn(cause: Cause): CauseMembers {
  const row = ROWS[cause.kind];
  return { [row.member]: row.write(cause) };
}

/** The cause in a record; one that has none is a preemption for nobody, which {@link causeFlawOf} tells. */
export function causeOf(record: Wire<CauseMembers> | null | undefined): Cause {
  for (const row of Object.values(ROWS)) {
    const given = record?.[row.member as keyof CauseMembers];
    if (given) return row.read(given);
  }
  return PREEMPTION.read({});
}

export function causeFlawOf(cause: Cause, pods: readonly PodPlace[]): string | null {
  return ROWS[cause.kind].flawOf(cause, pods);
}
