import { stateReferenceOf, type Checkpoint, type CheckpointOwner } from '../../domain/checkpoint.ts';
import type { ConditionReason } from '../../domain/condition-reasons.ts';
import type { NodeName, PodUid } from '../../domain/ids.ts';
import { ticketNameOf } from '../../engine/displace/names.ts';
import { podCheckpoint, type PodCheckpointSpec, type PodCheckpointStatus } from '../crd/pod-checkpoint.ts';
import type { KubeObject } from '../transport.ts';
import { checkpointRulesOf } from './checkpoint-rules.ts';
import { conditionOf, isConditionTrue } from './conditions.ts';
import { metadataOf } from './metadata.ts';
import { millisOf } from './time.ts';
import { typedOf } from './typed.ts';
import type { Wire } from './wire.ts';

/** Reasons of `Frozen=False` that mean the pod went on, as opposed to was killed. */
const THAWED_REASONS: ReadonlySet<string> = new Set<ConditionReason<'PodCheckpoint', 'Frozen', 'False'>>([
  'Thawed',
  'DeadlineExceeded',
  'ProbesEnd',
]);

/** The domain value of a PodCheckpoint, also of one that an earlier version requested: CRDs of revision 5. */
export function checkpointOf(object: KubeObject): Checkpoint {
  const { spec, status } = typedOf<{ spec: PodCheckpointSpec; status: PodCheckpointStatus }>(object, podCheckpoint);
  const { namespace, name, uid, resourceVersion, creationMs } = metadataOf(object);
  const frozen = conditionOf(status?.conditions, 'Frozen');
  const failed = conditionOf(status?.conditions, 'Failed');
  const { node, reference } = status?.location ?? {};
  const nodeName = spec?.node ?? spec?.nodeName ?? '';
  const isOwn = node === nodeName && reference === stateReferenceOf({ namespace, name, uid });
  return {
    namespace,
    name,
    uid,
    resourceVersion,
    creationMs,
    podName: spec?.pod?.name ?? '',
    podUid: (spec?.pod?.uid ?? '') as PodUid,
    nodeName: nodeName as NodeName,
    owner: ownerOf(spec),
    keepFrozen: spec?.hold === 'UntilDeleted' || spec?.keepFrozen === true,
    rules: checkpointRulesOf(spec),
    deadlineMs: millisOf(spec?.thawAt ?? spec?.deadline),
    thawAtMs: millisOf(status?.thawAt),
    release: spec?.release?.message ?? null,
    released: isConditionTrue(status?.conditions, 'Released'),
    deleting: object.metadata.deletionTimestamp !== undefined,
    deletionMs: millisOf(object.metadata.deletionTimestamp),
    ready: isConditionTrue(status?.conditions, 'Ready'),
    frozen: frozen?.status === 'True',
    thawed: frozen?.status === 'False' && THAWED_REASONS.has(frozen.reason ?? ''),
    failure:
      failed?.status === 'True'
        ? {
            reason: failed.reason ?? '',
            message: failed.message ?? '',
            atMs: millisOf(failed.lastTransitionTime) ?? creationMs,
          }
        : null,
    takenMs: millisOf(status?.takenAt),
    completedMs: millisOf(status?.completedAt),
    bytes: status?.bytes ?? 0,
    location: isOwn && node && reference ? { node: node as NodeName, reference } : null,
    manifestDigest: status?.manifestDigest || null,
    compatibility: status?.compatibility || null,
  };
}

/** An earlier version wrote no owner: all but those that a user made were made for the ticket of the pod. */
function ownerOf(spec: Wire<PodCheckpointSpec> | null | undefined): CheckpointOwner | null {
  const { owner, nodeName, reason, pod } = spec ?? {};
  if (owner?.ticket) return { ticket: owner.ticket };
  const isOld = Boolean(nodeName) && reason === 'Preemption';
  return isOld ? { ticket: ticketNameOf({ name: pod?.name ?? '', uid: (pod?.uid ?? '') as PodUid }) } : null;
}
