/** How displaced pods come back: `Coming back` in ARCHITECTURE.md, as checks over what is true. */
import { fits } from '../../src/domain/resources.ts';
import { isFinal, type Ticket } from '../../src/domain/ticket.ts';
import { whyUnfit } from '../../src/domain/toleration.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { matchesRequired } from '../../src/sim/scheduler/node-affinity.ts';
import { podInfoOf } from '../../src/sim/scheduler/pod-info.ts';
import { PROGRESS_ANNOTATION } from '../../src/sim/nodes/workload.ts';
import { checkpointOf, nodeOf, podOf } from './parsed.ts';
import {
  BEHIND_MS,
  checkpointNamed,
  exists,
  isCalm,
  isGated,
  podWith,
  seenWithinMs,
  stands,
  stillHolds,
  ticketMoved,
  tickets,
  WELL_BEHIND_MS,
  type Invariant,
} from './evidence.ts';
import { unless } from './excuses.ts';
import type { Truth } from './truth.ts';

/** How long a replacement that came past the gate is watched before its ticket ends, and as much again. */
const REPLACED_MS = 20_000;
/** A ticket that was given back a moment ago may be read as claimed. */
const FREED_MS = 3_000;

export const RETURN_INVARIANTS = {
  'a failed restore is tried on another node': (truth, seen) => {
    const moved = ticketMoved(seen);
    if (moved === null) return null;
    const { before, after } = moved;
    const failed = after.failedNodes.at(-1);
    if (failed === undefined || after.failedNodes.length === before.failedNodes.length) return null;
    if (after.phase !== 'ColdStarted' && after.phase !== 'Held') return null;
    if (after.failedNodes.length >= after.restore.attempts || !stillHolds(truth, after.checkpoint)) return null;
    if (!DEPENDS_ON_NODE.has(failed.reason)) return null;
    const other = otherNode(truth, after);
    const broken = other && `${after.name} is ${after.phase} after ${failed.node} failed, and ${other} was not tried`;
    return unless(truth, 'a failed restore is tried on another node', broken, {
      'a gate that a person removed': () => before.claim !== null && truth.ungatedByHand.has(before.claim.uid),
      'trouble of those who decide': () => truth.world.clock.now() - truth.world.unwellMs < BEHIND_MS,
    });
  },

  'no more nodes are tried than the policy says': (_, seen) => {
    const moved = ticketMoved(seen);
    if (moved === null) return null;
    const { name, failedNodes, restore, phase } = moved.after;
    if (failedNodes.length === moved.before.failedNodes.length) return null;
    const isTriedAgain = phase === 'Waiting' && failedNodes.length >= restore.attempts;
    return isTriedAgain ? `${failedNodes.length} nodes have failed for ${name}, and another one is to try` : null;
  },

  'a pod whose gate a person removed is restored if it can be': (truth, seen) => {
    const moved = ticketMoved(seen);
    if (moved === null || moved.after.phase !== 'ColdStarted' || moved.before.phase === 'ColdStarted') return null;
    const { claim, decide, name, pod: victim, checkpoint } = moved.before;
    const pod = podWith(truth, claim?.uid);
    if (claim === null || !truth.ungatedByHand.has(claim.uid) || !stands(pod) || decide !== null) return null;
    const { restored, restoreFailure, nodeName, ticket } = podOf(pod);
    if (restored !== null || restoreFailure !== null || nodeName !== null || exists(truth, victim.uid)) return null;
    if (!stillHolds(truth, checkpoint)) return null;
    const broken = `${name} starts cold, and ${claim.name}, whose gate a person removed, waits for a node`;
    return unless(truth, 'a pod whose gate a person removed is restored if it can be', broken, {
      'a pod that does not name its ticket yet': () => ticket !== name,
    });
  },

  'a pod that its user deleted is not brought back': (truth, seen) => {
    if (seen.kind !== 'write' || seen.write.kind !== RESOURCES.pods || seen.write.type !== 'ADDED') return null;
    const { object } = seen.write;
    const { owner, ticket: named } = podOf(object);
    const ticket = tickets(truth).find(({ name }) => name === named);
    if (ticket === undefined || owner !== null) return null;
    return truth.unwanted.has(ticket.uid)
      ? `${object.metadata.name} was created again, and its user had deleted it`
      : null;
  },

  'a pod that is made again has nothing of its old node': (_, seen) => {
    if (seen.kind !== 'write' || seen.write.kind !== RESOURCES.pods || seen.write.type !== 'ADDED') return null;
    const { object } = seen.write;
    if (podOf(object).ticket === null || object.metadata.annotations?.[PROGRESS_ANNOTATION] === undefined) return null;
    return `${object.metadata.name} was created with ${PROGRESS_ANNOTATION}, which the node of the old pod wrote`;
  },

  'a ticket is for a replacement of its own displacement': (truth, seen) => {
    const moved = ticketMoved(seen);
    const claim = moved?.after.claim ?? null;
    if (moved === null || claim === null || claim.uid === moved.before.claim?.uid) return null;
    const taker = truth.replacements.takers.get(moved.after.uid);
    const claimant = podWith(truth, claim.uid);
    if (taker === undefined || !stands(podWith(truth, taker.pod.metadata.uid)) || claimant === undefined) return null;
    if (podOf(claimant).creationMs <= podOf(taker.pod).creationMs) return null;
    const broken = `${claim.name} claims ${moved.after.name}, whose place ${taker.pod.metadata.name} has taken`;
    return unless(truth, 'a ticket is for a replacement of its own displacement', broken, {
      'a replacement that came only a moment ago': () => truth.world.elapsedMs - taker.atMs < seenWithinMs(truth),
    });
  },

  'a ticket ends when its owner lacks nothing': (truth, seen) => {
    if (seen.kind !== 'second' || truth.replacements.takers.size === 0 || !isCalm(truth)) return null;
    for (const { uid, name, phase, phaseMs, claim, owner } of tickets(truth)) {
      const taker = truth.replacements.takers.get(uid);
      if (phase !== 'Waiting' || claim !== null || taker === undefined) continue;
      const sinceMs = Math.max(truth.world.startMs + taker.atMs, phaseMs);
      if (truth.world.clock.now() - sinceMs < REPLACED_MS + WELL_BEHIND_MS) continue;
      if (!stands(podWith(truth, taker.pod.metadata.uid)) || hasUnclaimedPods(truth, owner?.uid)) continue;
      return `${name} waits, and ${taker.pod.metadata.name} took its place ${truth.world.elapsedMs - taker.atMs} ms ago`;
    }
    return null;
  },

  'the webhook misses no ticket': (truth, seen) => {
    if (seen.kind !== 'passed') return null;
    const { elapsedMs, clock } = truth.world;
    const missed = seen.tickets.find(({ uid, claim, phaseMs }) => {
      if (claim !== null) return clock.now() - phaseMs > FREED_MS;
      return elapsedMs - (truth.replacements.freeMs.get(uid) ?? elapsedMs) > FREED_MS;
    });
    return missed === undefined
      ? null
      : `the webhook let ${seen.pod.metadata.name} pass without the gate, and ${missed.name} waits for a pod of its owner`;
  },

  'a ticket without a state does not wait': (truth, seen) => {
    if (seen.kind !== 'second' || !isCalm(truth)) return null;
    for (const { name, phase, phaseMs, checkpoint, claim, pod } of tickets(truth)) {
      if (phase !== 'Waiting' || exists(truth, pod.uid)) continue;
      if (claim !== null && !isGated(podWith(truth, claim.uid) ?? null)) continue;
      const goneMs = truth.goneCheckpoints.get(checkpoint);
      const isGone = checkpointNamed(truth, checkpoint) === undefined && goneMs !== undefined;
      if (!isGone || truth.world.clock.now() - Math.max(phaseMs, truth.world.startMs + goneMs) < BEHIND_MS) continue;
      return `${name} waits, and its checkpoint has been gone for ${truth.world.elapsedMs - goneMs} ms`;
    }
    return null;
  },
} as const satisfies Record<string, Invariant>;

/** After these another node may succeed: it has another agent, disk, kernel or runtime. */
const DEPENDS_ON_NODE: ReadonlySet<string> = new Set(['RestoreFailed']);

/** A node that has been well for long, takes the pod and the state, and has not failed. */
function otherNode(truth: Truth, { failedNodes, restore, requests, checkpoint: name, pod }: Ticket): string | null {
  const raw = checkpointNamed(truth, name);
  const saved = truth.savedPods.get(pod.uid);
  if (raw === undefined || restore.nodes === 'Same') return null;
  const { compatibility } = checkpointOf(raw);
  for (const object of truth.world.api.list(RESOURCES.nodes)) {
    const node = nodeOf(object);
    if (failedNodes.some((failed) => failed.node === node.name)) continue;
    if (truth.world.machines.get(node.name)?.hasBeenWell(BEHIND_MS) !== true) continue;
    if (whyUnfit(node, []) !== null || !fits(requests, node.allocatable)) continue;
    if (saved === undefined || !matchesRequired(podInfoOf(saved), object)) continue;
    if (compatibility === null || node.compatibility === compatibility) return node.name;
  }
  return null;
}

function hasUnclaimedPods(truth: Truth, ownerUid: string | undefined): boolean {
  return truth.world.api.list(RESOURCES.pods).some((pod) => {
    if (!isGated(pod) || podOf(pod).owner?.uid !== ownerUid) return false;
    return !tickets(truth).some(({ claim, phase }) => claim?.uid === pod.metadata.uid && !isFinal(phase));
  });
}
