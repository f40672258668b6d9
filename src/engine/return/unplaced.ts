import { COMPATIBILITY_LABEL } from '../../domain/labels.ts';
import { countsEvictions } from '../../domain/owner-kinds.ts';
import { sourceNodeOf, wasReplaced } from '../../domain/ticket.ts';
import type { ClusterView } from '../../index/types.ts';
import type { Steps, World } from '../core/steps.ts';
import { replacePod } from './outcomes.ts';
import type { Queued } from './queue.ts';

/** kube-scheduler flushes its unschedulable pods every five minutes: by then it has tried an admitted one again. */
const PLACED_WITHIN_MS = 300_000;
/** No sooner, however short `maxGate` is: kube-scheduler backs off, and volumes are provisioned. */
const PLACED_SOONEST_MS = 60_000;
/** Longer than kube-scheduler waits before it tries a pod again for the second time. */
const PROMISED_FOR_MS = 5_000;
/** kube-scheduler has tried a pod within this, unless it has fallen far behind, or no scheduler is for the pod. */
const PLACED_SOON_MS = 20_000;
/** An agent that is upgraded takes the label off its node, and puts it back within this. */
const LABEL_AWAY_MS = 30_000;

/**
 * Whether an admitted pod may still be placed, so that its room is kept for it. Looks again when that ends.
 *
 *     Admitted ──placed──> Restoring
 *        ├──kube-scheduler finds no node──> holds no room
 *        ├──no node meets our requirement any more──> the pod is replaced
 *        └──not placed within the bound──> holds no room; replaced once, and its successor carries no requirement of ours
 *
 * A gate cannot be put back (KEP-3521), so a pod whose requirement has vanished is deleted, marked as disrupted. A pod of a Job
 * that is not placed for another reason stays at kube-scheduler: the Job would count the deletion.
 */
export function isExpected(world: World, entry: Queued, steps: Steps): boolean {
  const { nowMs, settings } = world;
  const { ticket, pod } = entry;
  if (ticket.phase !== 'Admitted') return true;
  const boundMs = Math.min(PLACED_WITHIN_MS, Math.max(settings.maxGateMs, PLACED_SOONEST_MS));
  const overdueMs = ticket.phaseMs + boundMs;
  if (nowMs < overdueMs) steps.lookAgainAt(overdueMs);
  if (!pod.gateExpired) {
    const replaced = `pod ${pod.name} is replaced`;
    const notPlaced = `kube-scheduler did not place it within ${boundMs / 1000} s`;
    if (mayWaitGated(entry) && hasVanished(world, entry, overdueMs, steps))
      replacePod(
        ticket,
        pod,
        'NodesGone',
        `${replaced}: no node meets the requirements of its restore any more`,
        steps,
      );
    else if (nowMs >= overdueMs && mayReplace(entry))
      replacePod(ticket, pod, 'NotPlaced', `${replaced}: ${notPlaced}`, steps);
  }
  return nowMs < overdueMs && !isRefused(world, entry, steps);
}

/**
 * kube-scheduler has tried the pod, and knows of something that keeps it off every node. It will try again when that changes; meanwhile
 * the room that the pod was admitted to is not kept from all others. A moment passes first: kube-scheduler may see room a moment
 * later than the index.
 */
function isRefused({ nowMs }: World, { ticket, pod }: Queued, steps: Steps): boolean {
  if (!pod.unschedulable) return false;
  const endsMs = ticket.phaseMs + PROMISED_FOR_MS;
  if (nowMs < endsMs) steps.lookAgainAt(endsMs);
  return nowMs >= endsMs;
}

/** Whether related pods wait for an admitted pod to be placed. Looks again when that ends. */
export function isPlacedSoon({ nowMs }: World, { ticket }: Queued, steps: Steps): boolean {
  if (ticket.phase !== 'Admitted') return true;
  const endsMs = ticket.phaseMs + PLACED_SOON_MS;
  if (nowMs < endsMs) steps.lookAgainAt(endsMs);
  return nowMs < endsMs;
}

function hasVanished(
  world: World,
  { ticket, pod, checkpoint, holder }: Queued,
  overdueMs: number,
  steps: Steps,
): boolean {
  const { view, nowMs } = world;
  const node = ticket.restore.nodes === 'Same' ? (holder ?? sourceNodeOf(ticket)) : null;
  if (node !== null) {
    if (nowMs < overdueMs || view.node(node) !== undefined) return false;
    // With Hold a pod waits longer rather than lose its work: a node that was stopped comes back with its disk.
    const heldUntilMs = ticket.restore.onFailure === 'Hold' ? ticket.phaseMs + ticket.restore.maxWaitMs : nowMs;
    if (nowMs < heldUntilMs) steps.lookAgainAt(heldUntilMs);
    return nowMs >= heldUntilMs;
  }
  const lookMs = ticket.phaseMs + LABEL_AWAY_MS;
  if (nowMs < lookMs) {
    steps.lookAgainAt(lookMs);
    return false;
  }
  const { requirements = [], terms = null } = pod.nodeSelector ?? {};
  const required = [...requirements, ...(terms ?? []).flatMap(({ labels }) => labels)].find(
    ({ key }) => key === COMPATIBILITY_LABEL,
  )?.values[0];
  const compatibility = required ?? checkpoint?.compatibility ?? null;
  return compatibility !== null && !isThereNodeOf(view, compatibility, ticket.failedNodes);
}

function isThereNodeOf(view: ClusterView, compatibility: string, failed: Queued['ticket']['failedNodes']): boolean {
  for (const node of view.bareNodes())
    if (node.compatibility === compatibility && !failed.some((one) => one.node === node.name)) return true;
  return false;
}

/**
 * With Hold the next pod requires the same when its gate expires, so that an autoscaler may add such a node: then it stays at
 * kube-scheduler.
 */
function mayWaitGated({ ticket }: Queued): boolean {
  return ticket.restore.onFailure === 'ColdStart' || !wasReplaced(ticket, 'NodesGone');
}

/** Once for a ticket, whose next pod may run anywhere. */
function mayReplace({ ticket }: Queued): boolean {
  return !wasReplaced(ticket, 'NotPlaced') && (ticket.owner === null || !countsEvictions(ticket.owner));
}
