import type { RestoreFailure } from '../../domain/condition-reasons.ts';
import type { NodeName } from '../../domain/ids.ts';
import type { Pod, RestoreFailed } from '../../domain/pod.ts';
import { podsMakingWay, type FailedNode, type Ticket } from '../../domain/ticket.ts';
import type { ClusterView } from '../../index/types.ts';
import { replicasBehind } from '../displace/barrier.ts';
import { continuesIn, HELD_UNTIL } from './outcomes.ts';
import { hasOtherNode } from './queue.ts';
import { checkpointOf, isCalledOff } from '../checkpoints/saved-state.ts';
import type { Steps, World } from '../core/steps.ts';
import { mayRunUnseen } from './silent-agent.ts';

/**
 * After these the state or the pod is wrong, not the node: another node would fail alike. A pod of the same template gets the
 * same mounts everywhere; its image and its security context also depend on what a node has and how it is configured.
 */
const SAME_EVERYWHERE: ReadonlySet<RestoreFailure> = new Set([
  'CheckpointMissing',
  'DigestMismatch',
  'OwnerDiffers',
  'TemplateDiffers',
  'MountsDiffer',
]);

/**
 * A node could not restore the pod that claims `ticket`. What follows, in this order:
 *
 * 1. The gate was removed by hand, or the checkpoint is gone: the pod starts cold where it is. The agent waits for that word.
 *    So does one that waited `maxGate` for capacity, on a node where its state does not fit, unless the policy says Hold.
 * 2. Another compatible node exists, and fewer than `restore.attempts` nodes have failed: the ticket goes back into the queue
 *    without its pod, which {@link endFailedPods} deletes. The failed node is excluded from then on.
 * 3. `onFailure: ColdStart`: the pod starts cold where it is.
 * 4. `onFailure: Hold`: the ticket is Held, the pod is deleted, and its replacement stays gated until a person decides.
 *
 * The pod of 2 and 4 has no failed container status before its deletion has begun: the runtime wrapper waits meanwhile
 * (`restoration.ts`). ARCHITECTURE.md says what each restart policy makes of that.
 */
export function afterFailedRestore(
  { view }: World,
  ticket: Ticket,
  pod: Pod,
  failure: RestoreFailed,
  steps: Steps,
): void {
  const node = pod.nodeName as NodeName;
  const failed: FailedNode = { node, pod: pod.uid, reason: failure.reason };
  const failedNodes = [...ticket.failedNodes, failed];
  const what = `${node} could not restore it: ${failure.reason}: ${failure.message}`;
  const cold = (why: string): void => {
    const message = `${what}; ${why}`;
    steps.do({ kind: 'SetTicketPhase', ticket, phase: 'ColdStarted', reason: failure.reason, message, failed });
  };
  const checkpoint = checkpointOf(view, ticket);
  if (checkpoint === undefined || isCalledOff(checkpoint)) return cold('its checkpoint is gone');
  if (!wasAdmitted(ticket, pod)) return cold('its gate was removed by hand');
  if (pod.gateExpired && failure.reason === 'Incompatible' && ticket.restore.onFailure === 'ColdStart')
    return cold('it waited maxGate for another node');
  const exhausted = whyNoOther(view, { ...ticket, failedNodes }, pod, failure.reason);
  if (exhausted === null) {
    const message = `${what}; another node tries`;
    steps.do({ kind: 'SetTicketPhase', ticket, phase: 'Waiting', reason: 'TriesElsewhere', message, failed });
  } else if (ticket.restore.onFailure === 'Hold') {
    const message = `${what}; ${exhausted}: ${HELD_UNTIL}`;
    steps.do({ kind: 'SetTicketPhase', ticket, phase: 'Held', reason: 'Held', message, failed });
  } else cold(exhausted);
}

/** Why no other node is tried; null where one is. */
function whyNoOther(view: ClusterView, ticket: Ticket, pod: Pod, reason: RestoreFailure): string | null {
  const { attempts } = ticket.restore;
  if (SAME_EVERYWHERE.has(reason)) return 'every other node would fail alike';
  if (ticket.failedNodes.length >= attempts) return `all ${attempts} attempts are used`;
  return hasOtherNode(view, ticket, pod) ? null : 'no other compatible node exists';
}

/** Reprieve removed its gate. One whose gate a person removed has the count of displacements of its predecessor at most. */
export function wasAdmitted(ticket: Ticket, pod: Pod): boolean {
  return pod.displacements > ticket.pod.displacements;
}

/**
 * A pod that was to make way was restored after all: its node had begun before the ticket gave the pod up, and its report came before the
 * deletion. It continues the ticket, whoever has claimed that meanwhile. Returns whether there is such a pod.
 */
export function endWithRestored({ view }: World, ticket: Ticket, steps: Steps): boolean {
  for (const { pod: uid } of podsMakingWay(ticket)) {
    const pod = view.podOf({ namespace: ticket.namespace, uid });
    if (pod?.restored?.succeeded !== true || pod.deletionMs !== null || pod.ticket !== ticket.name) continue;
    const claim = { namespace: pod.namespace, name: pod.name, uid };
    const message = continuesIn(pod);
    steps.do({ kind: 'SetTicketPhase', ticket, phase: 'Restored', reason: 'Restored', message, claim });
    return true;
  }
  return false;
}

/** Longer than a replica is waited for that has gone without a word. */
const BARRIER_MS = 30_000;

/**
 * Deletes the pods whose restore failed, and those that are replaced, so that their owners make others; Reprieve itself recreates a
 * bare one. A pod that ended by itself is deleted too: under `restartPolicy: Never` a bare one would keep its name for ever.
 * `silent-agent.ts` says which pods of silent agents are not deleted.
 */
export function endFailedPods(world: World, ticket: Ticket, steps: Steps): void {
  const { view, nowMs } = world;
  const leaving = podsMakingWay(ticket);
  if (leaving.length === 0) return;
  // A replica that still takes the ticket for claimed would let the replacement start cold.
  const waitEndsMs = ticket.phaseMs + BARRIER_MS;
  if (nowMs < waitEndsMs && replicasBehind(view, [ticket]).length > 0) {
    steps.lookAgainAt(waitEndsMs);
    return;
  }
  for (const { pod: uid } of leaving) {
    const pod = view.podOf({ namespace: ticket.namespace, uid });
    if (pod === undefined || pod.deletionMs !== null || pod.ticket !== ticket.name) continue;
    if (!mayRunUnseen(world, ticket, pod, steps)) steps.do({ kind: 'EndPod', ticket, pod });
  }
}
