import type { CheckpointRules } from '../domain/checkpoint-rules.ts';
import { AGENT_FINALIZER, POD_UID_LABEL } from '../domain/labels.ts';
import type { CheckpointOrder } from '../ports/cluster-writer.ts';
import type { PodCheckpointSpec } from './crd/pod-checkpoint.ts';
import { timestampOf } from './project/time.ts';

/** The rules as they stand in a PodCheckpoint, and in the ticket that it is made for. */
export function checkpointRulesIn({ sockets, volumes, maxBytes }: CheckpointRules) {
  return { sockets, volumes, maxBytes: String(maxBytes) };
}

/** The PodCheckpoint that makes this request: its metadata and spec, ready to be created. */
export function checkpointObject(order: CheckpointOrder): {
  readonly metadata: object;
  readonly spec: PodCheckpointSpec;
} {
  const { namespace, name, pod } = order;
  return {
    metadata: {
      name,
      namespace,
      labels: { [POD_UID_LABEL]: pod.uid },
      // From the start: an agent that adds it later could be too late, with a frozen pod and no request for it.
      finalizers: [AGENT_FINALIZER],
    },
    spec: {
      pod: { name: pod.name, uid: pod.uid },
      node: order.node,
      reason: order.reason,
      hold: order.keepFrozen ? 'UntilDeleted' : 'None',
      thawAt: timestampOf(order.deadlineMs),
      owner: { ticket: order.ticket },
      ...checkpointRulesIn(order.rules),
    },
  };
}
