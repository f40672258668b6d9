import { formatDuration } from '../domain/duration.ts';
import { OWNER_UID_LABEL, POD_UID_LABEL } from '../domain/labels.ts';
import { identityLabelsOf } from '../domain/owner-kinds.ts';
import type { Pod } from '../domain/pod.ts';
import type { Displacement } from '../domain/displacement.ts';
import type { Ticket } from '../domain/ticket.ts';
import type { TicketOrder } from '../ports/cluster-writer.ts';
import { causeIn } from './cause-records.ts';
import { checkpointRulesIn } from './checkpoint-object.ts';
import type { DisplacementRecord } from './crd/displacement.ts';
import type { ReprieveSpec } from './crd/reprieve.ts';
import { podTemplateOf } from './pod-template.ts';
import { memoryLimitOf } from './project/memory-limit.ts';
import { ownerReadingOf } from './project/owner.ts';
import { podOf } from './project/pod.ts';
import { resourceListOf } from './project/resource-list.ts';
import { restoreShapeOf } from './project/restore-shape.ts';
import { timestampOf } from './project/time.ts';
import type { KubeObject } from './transport.ts';

/** The Reprieve that stores this victim: its metadata and spec, ready to be created. */
export function ticketObject(
  order: TicketOrder,
  victim: KubeObject,
): { readonly metadata: object; readonly spec: ReprieveSpec } {
  const pod = podOf(victim);
  const identityLabels = identityLabelsOf(pod.labels, order.restore.identityLabels);
  const labels = { [POD_UID_LABEL]: pod.uid, ...(pod.owner && { [OWNER_UID_LABEL]: pod.owner.uid }) };
  return {
    metadata: { name: order.name, namespace: pod.namespace, labels, ...ownerReferencesOf(pod) },
    spec: {
      pod: {
        name: pod.name,
        uid: pod.uid,
        ...(pod.completionIndex !== null && { completionIndex: pod.completionIndex }),
        ...(identityLabels !== null && { identityLabels }),
        displacements: pod.displacements,
        memoryLimitBytes: memoryLimitOf(victim),
        ...(pod.owner === null && { template: { ...podTemplateOf(victim) } }),
      },
      ...(pod.owner && { owner: pod.owner }),
      priority: pod.priority,
      requests: resourceListOf(pod.requests),
      restoreShape: restoreShapeOf(victim),
      displacement: displacementIn(order.displacement),
      checkpoint: order.planned.checkpoint,
      restore: restoreIn(order.restore),
      policy: order.policyName,
    },
  };
}

/**
 * A controller that Reprieve may not read: Kubernetes deletes the ticket with it. Of the others Reprieve itself ends the ticket, and keeps
 * the state for a while.
 */
function ownerReferencesOf({ owner }: Pod): { readonly ownerReferences?: readonly object[] } {
  return owner === null || ownerReadingOf(owner) !== null ? {} : { ownerReferences: [owner] };
}

function restoreIn({
  nodes,
  attempts,
  onFailure,
  maxWaitMs,
  identityLabels,
}: Ticket['restore']): ReprieveSpec['restore'] {
  const labels = identityLabels.length > 0 ? { identityLabels } : {};
  return { nodes, attempts, onFailure, maxWait: formatDuration(maxWaitMs), ...labels };
}

/** As a ticket records it. */
export function displacementIn(displacement: Displacement): DisplacementRecord {
  return {
    id: displacement.id,
    cause: causeIn(displacement.cause),
    pods: displacement.pods.map(({ namespace, name, uid, node, plan, checkpoint, onFailure, terms }) => ({
      namespace,
      name,
      uid,
      node,
      plan,
      ...(checkpoint !== null && { checkpoint }),
      onFailure,
      ...(terms !== null && {
        terms: {
          policy: terms.policy,
          maxDelay: formatDuration(terms.maxDelayMs),
          checkpoint: checkpointRulesIn(terms.checkpoint),
          restore: restoreIn(terms.restore),
        },
      }),
    })),
    commit: displacement.commit,
    decidedAt: timestampOf(displacement.decidedMs),
    deadline: timestampOf(displacement.deadlineMs),
  };
}
