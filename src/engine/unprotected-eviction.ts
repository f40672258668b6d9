import type { Pod } from '../domain/pod.ts';
import { protectionOf, rulingPolicy, type UnprotectedReason } from '../domain/protection.ts';
import type { ClusterView, IndexedKind, IndexedKinds, IndexEvent } from '../index/types.ts';
import type { PodRef } from '../ports/cluster-writer.ts';

/** A pod that a policy selects, evicted without its state because it was not protected at that moment. */
export interface UnprotectedEviction {
  readonly victim: PodRef;
  readonly policy: string;
  readonly reason: UnprotectedReason;
  readonly message: string;
}

/** Why a pod that should be saved is not. The other reasons are what the policy, or the kind of its owner, asks for. */
const SHORTCOMINGS: ReadonlySet<UnprotectedReason> = new Set([
  'NotCheckpointable',
  'NodeCannotCheckpoint',
  'AgentSilent',
  'NotRestorable',
]);

/**
 * The eviction for a preemptor whose beginning this change shows, judged by the pod as it was before; null: none, or one that has
 * a ticket, which tells what became of the pod.
 */
export function unprotectedEviction(
  view: ClusterView,
  event: IndexEvent,
  earlier: IndexedKinds[IndexedKind] | undefined,
): UnprotectedEviction | null {
  if (event.kind !== 'pod' || event.type !== 'upsert' || earlier === undefined) return null;
  const before = earlier as Pod; // of the same kind as the event
  const { uid, namespace, name, deletionMs, disruptionTarget } = event.value;
  if (deletionMs === null || !disruptionTarget || before.deletionMs !== null) return null;
  if (view.ticketOfVictim(uid) !== undefined) return null;
  const node = before.nodeName === null ? undefined : view.node(before.nodeName)?.node;
  const labels = view.namespaceLabels(namespace);
  const protection = protectionOf(before, node, view.policies(), labels, view.webhookReach());
  if (protection.protected || !SHORTCOMINGS.has(protection.reason)) return null;
  const { reason, message } = protection;
  const policy = rulingPolicy(before, view.policies(), labels)?.name ?? '';
  return { victim: { namespace, name, uid }, policy, reason, message };
}
