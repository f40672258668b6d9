import { parseDuration } from '../../domain/duration.ts';
import type { NodeName, PodUid } from '../../domain/ids.ts';
import { LONGEST_SAVE_MS, type DisplacedPod, type Displacement, type VictimTerms } from '../../domain/displacement.ts';
import type { Ticket } from '../../domain/ticket.ts';
import { checkpointNameOf, ticketNameOf } from '../../engine/displace/names.ts';
import { causeFlawOf, causeOf } from '../cause-records.ts';
import type { DisplacementRecord } from '../crd/displacement.ts';
import type { ReprieveSpec } from '../crd/reprieve.ts';
import { POLICY_DEFAULTS } from '../crd/reprieve-policy.ts';
import { checkpointRulesOf } from './checkpoint-rules.ts';
import { millisOf } from './time.ts';
import type { Wire } from './wire.ts';

type Record = Wire<DisplacementRecord>;
type PodRecord = Wire<DisplacementRecord['pods'][number]>;
type Spec = Wire<ReprieveSpec> | null | undefined;

/**
 * The displacement in a ticket. Whatever the record says, no pod that was to be saved becomes one that may be evicted unsaved:
 * where its checkpoint is missing, it has the name of one that is yet to be made. What cannot be true is told by {@link flawOf}.
 */
export function displacementOf(spec: Spec): Displacement {
  const record = recordOf(spec);
  const decidedMs = millisOf(record?.decidedAt) ?? 0;
  const id = record?.id ?? '';
  return {
    id,
    cause: causeOf(record?.cause),
    pods: (record?.pods ?? []).map((pod) => podOf(pod, id, spec)),
    commit: record?.commit === 'EachSaved' ? 'EachSaved' : 'AllSaved',
    decidedMs,
    deadlineMs: millisOf(record?.deadline) ?? decidedMs,
  };
}

/** As it is recorded today: an earlier version wrote `spec.decision`, and knew no cause but a preemption. */
function recordOf(spec: Spec): Record | null | undefined {
  const old = spec?.decision;
  if (spec?.displacement || !old) return spec?.displacement;
  const { id, preemptor, node, victims, numPDBViolations, decidedAt, deadline } = old;
  const pods = victims?.map(({ action, ...victim }): PodRecord => ({
    ...victim,
    node,
    plan: OLD_PLANS[action ?? 'evict'],
  }));
  return {
    id,
    cause: { preemption: { preemptor, node, numPDBViolations } },
    pods,
    commit: 'AllSaved',
    decidedAt,
    deadline,
  };
}

const OLD_PLANS = { checkpoint: 'Save', reuse: 'Reuse', evict: 'Evict' } as const;

function podOf(pod: PodRecord, displacementId: string, ticket: Spec): DisplacedPod {
  const ref = {
    uid: (pod.uid ?? '') as PodUid,
    namespace: pod.namespace ?? '',
    name: pod.name ?? '',
    node: (pod.node ?? '') as NodeName,
    onFailure: pod.onFailure ?? 'Evict',
  };
  if (pod.plan !== 'Save' && pod.plan !== 'Reuse') return { ...ref, plan: 'Evict', checkpoint: null, terms: null };
  const { checkpoint } = pod;
  const plan = checkpoint ? pod.plan : 'Save';
  const name = checkpoint || checkpointNameOf(ticketNameOf(ref), displacementId);
  return { ...ref, plan, checkpoint: name, terms: termsOf(pod.terms, ticket) };
}

/** A pod whose terms are not told has those of the ticket that names it. */
function termsOf(terms: PodRecord['terms'], ticket: Spec): VictimTerms {
  const { maxDelay } = POLICY_DEFAULTS.preemption;
  return {
    policy: terms?.policy ?? ticket?.policy ?? '',
    maxDelayMs: parseDuration(terms?.maxDelay ?? '') ?? parseDuration(maxDelay) ?? 0,
    checkpoint: checkpointRulesOf(terms?.checkpoint),
    restore: restoreOf(terms?.restore ?? ticket?.restore),
  };
}

export function restoreOf(given: Wire<ReprieveSpec['restore']> | null | undefined): Ticket['restore'] {
  const { restore } = POLICY_DEFAULTS;
  return {
    nodes: given?.nodes ?? restore.nodes,
    attempts: given?.attempts ?? restore.attempts,
    onFailure: given?.onFailure ?? restore.onFailure,
    maxWaitMs: parseDuration(given?.maxWait ?? '') ?? parseDuration(restore.maxWait) ?? 0,
    identityLabels: given?.identityLabels ?? restore.identityLabels,
  };
}

/**
 * Why a ticket in `namespace` and its displacement cannot both be true; null where they can. Reprieve writes no such record: it
 * was edited, or restored from a damaged backup.
 */
export function flawOf(namespace: string, spec: Spec): string | null {
  const { id, cause, pods, decidedAt, deadline } = recordOf(spec) ?? {};
  if (!id) return 'the displacement has no id';
  const uids = new Set((pods ?? []).map(({ uid }) => uid ?? ''));
  if (uids.size !== pods?.length || uids.has('')) return 'the displacement names a pod twice, or one without a UID';
  const flaw = causeFlawOf(causeOf(cause), pods);
  if (flaw !== null) return flaw;
  const unnamed = pods.find(({ plan, checkpoint }) => plan !== 'Evict' && !checkpoint);
  if (unnamed !== undefined) return `pod ${unnamed.name ?? ''} is to be saved, and no checkpoint is named`;
  const own = pods.find(({ uid }) => uid === spec?.pod?.uid);
  if (own === undefined || own.namespace !== namespace) return 'its pod is not among those of the displacement';
  if (own.plan !== 'Save' && own.plan !== 'Reuse') return 'its pod is to be evicted without being saved';
  if (own.checkpoint !== spec?.checkpoint) return 'it names another checkpoint than its displacement';
  const [decidedMs, deadlineMs] = [millisOf(decidedAt), millisOf(deadline)];
  if (decidedMs === null || deadlineMs === null) return 'the displacement has no time or no deadline';
  const longestMs = Math.max(...pods.map(({ terms }) => termsOf(terms, spec).maxDelayMs)) + LONGEST_SAVE_MS;
  if (deadlineMs < decidedMs || deadlineMs > decidedMs + longestMs) return 'the deadline is out of bounds';
  return null;
}
