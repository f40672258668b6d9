import { movingIn } from '../../domain/displacement.ts';
import type { Pod } from '../../domain/pod.ts';
import { rulingPolicy, type Protection, type UnprotectedReason } from '../../domain/protection.ts';
import type { ClusterView } from '../../index/types.ts';
import { isBeforeEviction } from '../../domain/ticket.ts';
import type { PodRef } from '../../ports/cluster-writer.ts';
import { isSaved } from '../checkpoints/saved-state.ts';
import type { Displacements } from '../core/steps.ts';
import { protectionIn } from '../policies/protection-in.ts';

/** A pod that a policy selects, evicted without its state: it was not protected at that moment, or was not worth saving. */
export interface UnprotectedEviction {
  readonly victim: PodRef;
  readonly policy: string;
  readonly reason: UnprotectedReason | 'PlannedUnsaved' | 'ProtectedLate';
  readonly message: string;
}

/** Why a pod that should be saved is not. The other reasons are what the policy, or the kind of its owner, asks for. */
const SHORTCOMINGS: ReadonlySet<UnprotectedReason> = new Set([
  'Paused',
  'NotCheckpointable',
  'NodeCannotCheckpoint',
  'AgentSilent',
  'NoRuntimeClass',
  'NotRestorable',
]);

const PLANNED_UNSAVED = 'the displacement that an earlier leader decided evicts it as it is';
/** The agent of its node came back, a policy changed, or the webhook was found to be called between the answer and the deletion. */
const PROTECTED_LATE = 'it was not protected yet when its preemption was decided, or Reprieve was not asked';

/**
 * The eviction of a pod that another process deletes for a preemptor, judged by the pod as it was before; null: it began earlier, or the
 * pod has a ticket with its state. A ticket without a state says nothing of an eviction: it may be newer than the answer that let the
 * pod go, or its displacement may be over.
 */
export function unprotectedEviction(
  view: ClusterView,
  book: Displacements,
  pod: Pod,
  before: Pod,
): UnprotectedEviction | null {
  if (before.deletionMs !== null) return null;
  const { uid, namespace, name } = pod;
  const ticket = view.ticketOfVictim(pod);
  if (ticket !== undefined && (!isBeforeEviction(ticket.phase) || isSaved(view, ticket))) return null;
  const node = before.nodeName === null ? undefined : view.node(before.nodeName)?.node;
  const protection = protectionIn(view, before, node);
  const victim = { namespace, name, uid };
  if (protection.protected) {
    const policy = protection.policy.name;
    // Decided by an earlier leader, which alone knew both costs: the record says only that the pod is evicted as it is.
    return isPlannedUnsaved(book, before)
      ? { victim, policy, reason: 'PlannedUnsaved', message: PLANNED_UNSAVED }
      : { victim, policy, reason: 'ProtectedLate', message: PROTECTED_LATE };
  }
  if (!SHORTCOMINGS.has(protection.reason)) return null;
  const { reason, message } = protection;
  const policy = rulingPolicy(before, view.policies(), view.namespaceLabels(namespace))?.name ?? '';
  return { victim, policy, reason, message };
}

/** Why a pod that a policy wants saved is not, as a sentence for people; null where its policy, or the kind of its owner, asks for that. */
export function shortcomingOf(protection: Protection): string | null {
  return !protection.protected && SHORTCOMINGS.has(protection.reason) ? protection.message : null;
}

function isPlannedUnsaved(book: Displacements, { uid, nodeName }: Pod): boolean {
  return nodeName !== null && movingIn(book.on(nodeName), uid)?.victim.plan === 'Evict';
}
