import type { Pod } from '../../domain/pod.ts';
import { rulingPolicy, type Protection, type UnprotectedReason } from '../../domain/protection.ts';
import type { ClusterView } from '../../index/types.ts';
import { isBeforeEviction, type Ticket } from '../../domain/ticket.ts';
import type { PodRef } from '../../ports/cluster-writer.ts';
import { isSaved } from '../checkpoints/saved-state.ts';
import type { Displacements } from '../core/steps.ts';
import { protectionIn } from '../policies/protection-in.ts';

/** A pod that a policy selects, evicted without its state: it was not protected at that moment, or was not worth saving. */
export interface UnprotectedEviction {
  readonly victim: PodRef;
  readonly policy: string;
  readonly reason: UnprotectedReason | 'PlannedUnsaved';
  readonly message: string;
}

/** Why a pod that should be saved is not. The other reasons are what the policy, or the kind of its owner, asks for. */
const SHORTCOMINGS: ReadonlySet<UnprotectedReason> = new Set([
  'Paused',
  'NotCheckpointable',
  'NodeCannotCheckpoint',
  'AgentSilent',
  'NotRestorable',
]);

/**
 * The eviction of a pod that is seen going for a preemptor, judged by the pod as it was before; null: it began earlier, or is
 * told otherwise. What becomes of the pod is told by the ticket of an open displacement, and by one whose state is saved. The ticket
 * of a displacement that is over says nothing of an eviction that comes before it is deleted.
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
  if (ticket !== undefined && !isLeftover(view, book, ticket)) return null;
  const node = before.nodeName === null ? undefined : view.node(before.nodeName)?.node;
  const protection = protectionIn(view, before, node);
  const victim = { namespace, name, uid };
  if (protection.protected) {
    // Decided by an earlier leader, which alone knew both costs: the record says only that the pod is evicted as it is.
    if (!isPlannedUnsaved(book, before)) return null;
    const message = 'the displacement that an earlier leader decided evicts it as it is';
    return { victim, policy: protection.policy.name, reason: 'PlannedUnsaved', message };
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
  if (nodeName === null) return false;
  for (const { pods } of book.on(nodeName))
    if (pods.some((pod) => pod.uid === uid && pod.plan === 'Evict')) return true;
  return false;
}

function isLeftover(view: ClusterView, book: Displacements, ticket: Ticket): boolean {
  const isOpen = book.get(ticket.displacement.id) !== undefined;
  return isBeforeEviction(ticket.phase) && !isOpen && !isSaved(view, ticket);
}
