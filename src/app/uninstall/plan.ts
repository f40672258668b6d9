import type { Checkpoint } from '../../domain/checkpoint.ts';
import { objectKey } from '../../domain/ids.ts';
import { isTerminal, isTerminating, type Pod } from '../../domain/pod.ts';
import { isFinal, type Ticket, type TicketPhase } from '../../domain/ticket.ts';
import { mayHoldPod } from '../../engine/checkpoints/saved-state.ts';
import { isGated } from '../../engine/return/claims.ts';
import type { Marks, Survey } from './survey.ts';

/** One thing to do before Reprieve can go. */
export type Action =
  | { readonly kind: 'RecreatePod'; readonly ticket: Ticket }
  | {
      readonly kind: 'EndTicket';
      readonly ticket: Ticket;
      readonly phase: TicketPhase;
      readonly reason: 'Restored' | 'Uninstalled';
      readonly message: string;
    }
  | { readonly kind: 'ReleaseCheckpoint'; readonly checkpoint: Checkpoint }
  | { readonly kind: 'DeleteCheckpoint'; readonly checkpoint: Checkpoint }
  | {
      readonly kind: 'RemoveFinalizer';
      readonly checkpoint: Checkpoint;
      readonly because: string;
      /** A pod that the agent may have left frozen. */
      readonly frozen: Pod | null;
    }
  | { readonly kind: 'RemoveGate'; readonly pod: Pod }
  | { readonly kind: 'CleanPod'; readonly pod: Pod; readonly marks: Marks }
  | { readonly kind: 'CleanNode'; readonly node: string; readonly marks: Marks };

export interface Plan {
  readonly actions: readonly Action[];
  /** What others have to do first. */
  readonly waits: readonly string[];
}

/**
 * What is left to do in this order: tickets end, so that the webhook gates no pod any more; then gates go; then
 * checkpoints that hold pods are released, so that the agents thaw them, and all checkpoints are deleted with their files; then their marks go. Derived from the cluster as it is, so a run that was interrupted is
 * carried on by the next one. `isOverdue`: the agents had their time, what waits for them is done without them.
 */
export function planOf(survey: Survey, isOverdue: boolean): Plan {
  const actions: Action[] = [];
  const waits: string[] = [];
  const needed = new Set<string>(); // checkpoints of tickets that cannot end yet: they tell that the pod was evicted
  for (const ticket of survey.tickets) {
    if (isFinal(ticket.phase) || ticket.deleting) continue;
    const isLeaving = ticket.owner === null && isVictimLeaving(survey, ticket) && !isOverdue;
    if (isLeaving) waits.push(`pods/${ticket.namespace}/${ticket.pod.name} to be gone from its node`);
    const end = isLeaving ? null : endOf(survey, ticket, isOverdue);
    if (end !== null) actions.push(end);
    if (end?.kind !== 'EndTicket') needed.add(objectKey(ticket.namespace, ticket.checkpoint));
  }
  for (const { pod } of survey.pods.values())
    if (isGated(pod) && !isTerminating(pod)) actions.push({ kind: 'RemoveGate', pod });
  for (const checkpoint of survey.checkpoints) {
    const { namespace, name, nodeName } = checkpoint;
    if (needed.has(objectKey(namespace, name))) continue;
    const isThere = survey.nodeNames.has(nodeName);
    if (!checkpoint.deleting && mayHoldPod(checkpoint) && checkpoint.release === null)
      actions.push({ kind: 'ReleaseCheckpoint', checkpoint });
    else if (!checkpoint.deleting && mayHoldPod(checkpoint) && isThere && !isOverdue)
      waits.push(`the agent of ${nodeName} to carry out the release of podcheckpoints/${namespace}/${name}`);
    else if (!checkpoint.deleting) actions.push({ kind: 'DeleteCheckpoint', checkpoint });
    else if (!isThere)
      actions.push({ kind: 'RemoveFinalizer', checkpoint, because: `node ${nodeName} is gone`, frozen: null });
    else if (isOverdue) {
      const because = `the agent of ${nodeName} does not answer`;
      actions.push({ kind: 'RemoveFinalizer', checkpoint, because, frozen: frozenPodOf(survey, checkpoint) });
    } else waits.push(`the agent of ${nodeName} to undo podcheckpoints/${namespace}/${name}`);
  }
  for (const { pod, marks } of survey.pods.values()) {
    if (isTerminating(pod)) continue;
    const path = `pods/${pod.namespace}/${pod.name}`;
    // The condition is all that tells of a pod that stands frozen without an agent: it stays.
    if (pod.frozenBy !== null)
      waits.push(isOverdue ? frozenWithoutAgent(pod) : `the agent of ${pod.nodeName} to thaw ${path}`);
    else if (!isGated(pod) && marks.labels.length + marks.annotations.length + marks.conditions.length > 0)
      actions.push({ kind: 'CleanPod', pod, marks });
  }
  for (const { name, marks } of survey.nodes) actions.push({ kind: 'CleanNode', node: name, marks });
  return { actions, waits };
}

/** The agent froze the pod, or may have: an agent that dies during a dump has not said so. */
function frozenPodOf({ pods }: Survey, { podUid, ready, frozen, thawed, failure }: Checkpoint): Pod | null {
  const pod = pods.get(podUid)?.pod;
  if (pod === undefined || !isStanding(pod) || thawed || failure !== null) return null;
  return frozen || !ready ? pod : null;
}

/** The name of a bare pod is not free yet. */
function isVictimLeaving({ pods }: Survey, { pod, claim }: Ticket): boolean {
  const victim = pods.get(pod.uid)?.pod;
  return claim === null && victim !== undefined && isTerminating(victim);
}

function endOf(survey: Survey, ticket: Ticket, isOverdue: boolean): Action {
  const end = (phase: TicketPhase, message: string): Action => {
    return { kind: 'EndTicket', ticket, phase, reason: 'Uninstalled', message: `Reprieve was uninstalled: ${message}` };
  };
  const claimant = ticket.claim === null ? undefined : survey.pods.get(ticket.claim.uid)?.pod;
  if (claimant?.restored?.succeeded === true) {
    return { kind: 'EndTicket', ticket, phase: 'Restored', reason: 'Restored', message: claimant.restored.message };
  }
  const victim = survey.pods.get(ticket.pod.uid)?.pod;
  if (victim !== undefined && isStanding(victim)) return end('Abandoned', 'the pod was not evicted');
  if (claimant !== undefined) return end('ColdStarted', `${claimant.name} starts from the beginning`);
  const isBack = [...survey.pods.values()].some(
    ({ pod }) => pod.namespace === ticket.namespace && pod.ticket === ticket.name,
  );
  if (isBack) return end('ColdStarted', `${ticket.pod.name} starts from the beginning`);
  // Nobody else would create a bare pod again. Where its name is taken, that never succeeds.
  if (ticket.owner === null && wasEvicted(survey, ticket) && !isOverdue) return { kind: 'RecreatePod', ticket };
  return end('Abandoned', 'no pod had claimed the ticket');
}

/** We evicted the pod. The phase says so only after the eviction; a pod that its user deleted before it was saved stays away. */
function wasEvicted({ checkpoints }: Survey, { namespace, checkpoint, phase }: Ticket): boolean {
  return (
    phase !== 'Saving' ||
    checkpoints.some((other) => other.namespace === namespace && other.name === checkpoint && other.ready)
  );
}

/**
 * Checkpoints whose work is nowhere else: the pod is gone, and no other has continued it. To delete one is to lose it, which
 * somebody has to say.
 */
export function savedWork({ checkpoints, tickets, pods }: Survey): readonly Checkpoint[] {
  return checkpoints.filter(({ ready, deleting, podUid, namespace, name }) => {
    const pod = pods.get(podUid)?.pod;
    if (!ready || deleting || (pod !== undefined && isStanding(pod))) return false;
    const ticket = tickets.find((candidate) => candidate.namespace === namespace && candidate.checkpoint === name);
    const claimant = ticket?.claim ? pods.get(ticket.claim.uid)?.pod : undefined;
    return ticket?.phase !== 'Restored' && claimant?.restored?.succeeded !== true;
  });
}

export function frozenWithoutAgent({ namespace, name, nodeName }: Pod): string {
  return `pods/${namespace}/${name} may stand frozen on ${nodeName}: start the agent there, or delete the pod`;
}

function isStanding(pod: Pod): boolean {
  return !isTerminating(pod) && !isTerminal(pod);
}
