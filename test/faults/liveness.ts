import { preemptionIn } from '../support/preemption.ts';
import { RESTORE_GATE } from '../../src/domain/labels.ts';
import { fits, subtractResources, type Resources } from '../../src/domain/resources.ts';
import { isTerminal, type Pod } from '../../src/domain/pod.ts';
import { isFinal, type Ticket } from '../../src/domain/ticket.ts';
import { whyUnfit } from '../../src/domain/toleration.ts';
import { policyOf } from '../../src/kube/project/policy.ts';
import { comparePolicies, rulingPolicy } from '../../src/domain/protection.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { matchesRequired } from '../../src/sim/scheduler/node-affinity.ts';
import { podInfoOf } from '../../src/sim/scheduler/pod-info.ts';
import { podWith } from './evidence.ts';
import { waitsForNobody } from './placing-invariants.ts';
import { checkpointOf, nodeOf, podOf, ticketOf } from './parsed.ts';
import type { World } from './world.ts';

/** What is still unfinished, once nothing goes wrong any more; empty when the cluster has come to rest. */
export function unsettled(world: World): readonly string[] {
  const pods = world.api.list(RESOURCES.pods).map(podOf);
  const byUid = new Map<string, Pod>(pods.map((pod) => [pod.uid, pod]));
  const tickets = world.api.list(RESOURCES.reprieves).map(ticketOf);
  const checkpoints = world.api.list(RESOURCES.podCheckpoints).map(checkpointOf);
  const problems: string[] = [];

  for (const { state } of world.machines.values()) {
    for (const container of state?.containers.values() ?? []) {
      if (container.state === 'frozen' && !isTriedAgain(container.uid, tickets, byUid))
        problems.push(`${container.pod.metadata.name} stands frozen`);
    }
  }
  for (const { phase, name, claim, displacement, pod } of tickets) {
    if (isFinal(phase) || isTriedAgain(pod.uid, tickets, byUid)) continue;
    const claimant = claim === null ? undefined : byUid.get(claim.uid);
    const preemptor = byUid.get(preemptionIn(displacement).preemptor.uid);
    // A person decides; until then its pod stays gated.
    if (phase === 'Held' && claimant?.gates.includes(RESTORE_GATE)) continue;
    // Its pod waits for room, which kube-scheduler or we will give it; whether there is some is asked below.
    if ((phase === 'Waiting' || phase === 'Admitted') && claimant?.nodeName === null) continue;
    problems.push(
      `ticket ${name} is ${phase}, claimed by ${claimant?.name ?? 'nobody'}, preemptor ${preemptor?.nodeName ?? 'not bound'}`,
    );
  }
  for (const checkpoint of checkpoints) {
    const isKept =
      checkpoint.failure !== null ||
      tickets.some((ticket) => ticket.checkpoint === checkpoint.name && ticket.phase !== 'Restored');
    if (isTriedAgain(checkpoint.podUid, tickets, byUid)) continue;
    if (checkpoint.release !== null && !checkpoint.released)
      problems.push(`checkpoint ${checkpoint.name} is released, and its pod not thawed`);
    else if (checkpoint.deleting) problems.push(`checkpoint ${checkpoint.name} is going`);
    else if (checkpoint.owner !== null && !isKept) problems.push(`checkpoint ${checkpoint.name} is nobody's`);
  }
  for (const pod of pods) {
    if (pod.deletionMs !== null) problems.push(`pod ${pod.name} is going`);
    else if (tickets.some(({ claim, phase }) => claim?.uid === pod.uid && phase === 'Held')) continue;
    else if (
      pod.gates.includes(RESTORE_GATE) &&
      !tickets.some(({ claim, phase }) => claim?.uid === pod.uid && !isFinal(phase))
    ) {
      problems.push(`pod ${pod.name} is gated for nothing`);
    } else if (
      pod.gates.includes(RESTORE_GATE) &&
      world.clock.now() - pod.creationMs > (world.plan.settings.maxGateMs ?? 0) + 60_000
    ) {
      problems.push(`pod ${pod.name} has been gated for too long`);
    } else if (pod.nodeName === null && !isTerminal(pod)) {
      const object = podWith(world.truth, pod.uid);
      const why = object === undefined ? null : waitsForNobody(world.truth, object);
      if (why !== null) problems.push(why);
      const node = roomFor(world, pod, pods);
      if (node !== null) problems.push(`pod ${pod.name} waits though ${node} has room for it`);
    }
    if (pod.frozenBy !== null && !isTerminal(pod) && !isTriedAgain(pod.uid, tickets, byUid))
      problems.push(`pod ${pod.name} carries the mark of a frozen one`);
  }
  const leading = world.replicas.filter((replica) => replica?.reprieve.leads);
  if (leading.length !== 1) problems.push(`${leading.length} replicas lead`);
  return problems;
}

/**
 * A node that could take the pod as things are, or without those less important pods that kube-scheduler would offer as victims,
 * where each of them may be evicted.
 */
function roomFor(world: World, pod: Pod, pods: readonly Pod[]): string | null {
  const object = world.api.list(RESOURCES.pods).find(({ metadata }) => metadata.uid === pod.uid);
  if (object === undefined) return null;
  const restorers = restorersFor(world, pod);
  for (const raw of world.api.list(RESOURCES.nodes)) {
    const node = nodeOf(raw);
    if (whyUnfit(node, pod.tolerations) !== null) continue;
    if (!matchesRequired(podInfoOf(object), raw)) continue;
    if (restorers !== null && !restorers.has(node.name)) continue;
    const standing = pods.filter((other) => other.nodeName === node.name && !isTerminal(other));
    let free: Resources = node.allocatable;
    for (const other of standing) if (other.priority >= pod.priority) free = subtractResources(free, other.requests);
    for (const other of pods) {
      const isReserved = other.nodeName === null && other.nominatedNodeName === node.name && other !== pod;
      if (isReserved && other.priority >= pod.priority) free = subtractResources(free, other.requests);
    }
    if (!fits(pod.requests, free)) continue;
    const lesser = standing.filter(({ priority }) => priority < pod.priority);
    // Which of them it tries to spare first depends on budgets as well; with room for all, nobody is to go.
    const hasBudgets = world.api.list(RESOURCES.podDisruptionBudgets).length > 0;
    const needed = victimsAmong(lesser, subtractResources(free, pod.requests));
    const victims = hasBudgets && needed.length > 0 ? lesser : needed;
    if (victims.every((victim) => !isSpared(world, victim)))
      return `${node.name} (or would, without less important ones)`;
  }
  return null;
}

/**
 * The nodes that can restore what the pod continues, where its ticket is open: those of the class on which it was saved, and under
 * `restore.nodes: Same` only the one that holds the state. Reprieve writes that into the affinity of a pod that it lets go; the
 * extender alone keeps one whose gate a person removed from the other nodes. Null where no such node exists any more: then there is
 * nothing to wait for.
 */
function restorersFor(world: World, pod: Pod): ReadonlySet<string> | null {
  const ticket = world.api
    .list(RESOURCES.reprieves)
    .map(ticketOf)
    .find(({ name, claim }) => name === pod.ticket && claim?.uid === pod.uid);
  if (ticket === undefined || isFinal(ticket.phase)) return null;
  const checkpoint = world.api
    .list(RESOURCES.podCheckpoints)
    .map(checkpointOf)
    .find(({ name }) => name === ticket.checkpoint);
  if (checkpoint === undefined) return null;
  const nodes = world.api
    .list(RESOURCES.nodes)
    .map(nodeOf)
    .filter(({ compatibility }) => checkpoint.compatibility === null || compatibility === checkpoint.compatibility)
    .filter(({ name }) => ticket.restore.nodes !== 'Same' || name === checkpoint.location?.node);
  return nodes.length === 0 ? null : new Set(nodes.map(({ name }) => name));
}

/** Those that do not fit beside the preemptor, the most important and oldest ones taken back first (`SelectVictimsOnNode`). */
function victimsAmong(lesser: readonly Pod[], room: Resources): readonly Pod[] {
  let free = room;
  return lesser
    .toSorted((a, b) => b.priority - a.priority || (a.startMs ?? Infinity) - (b.startMs ?? Infinity))
    .filter(({ requests }) => {
      if (!fits(requests, free)) return true;
      free = subtractResources(free, requests);
      return false;
    });
}

/**
 * It is saved once more for a preemptor that still waits: where a policy allows less time than saving takes, and refuses to
 * go without, that goes on for as long as the preemptor waits.
 */
function isTriedAgain(victim: string, tickets: readonly Ticket[], byUid: ReadonlyMap<string, Pod>): boolean {
  const ticket = tickets.find(({ pod }) => pod.uid === victim);
  const preemptor = ticket && byUid.get(preemptionIn(ticket.displacement).preemptor.uid);
  const isRefused = ticket?.displacement.pods.some(({ onFailure }) => onFailure === 'Refuse') ?? false;
  return ticket?.phase === 'Saving' && preemptor?.nodeName === null && isRefused;
}

/** Its policy refuses to let it go unsaved, and saving it may take longer than the policy has anybody wait. */
function isSpared(world: World, pod: Pod): boolean {
  const policies = world.api.list(RESOURCES.reprievePolicies).map(policyOf).sort(comparePolicies);
  return rulingPolicy(pod, policies, {})?.preemption.onFailure === 'Refuse';
}
