import { preemptionIn } from '../support/preemption.ts';
import { ON_FAILURE_ANNOTATION, TICKET_ANNOTATION } from '../../src/domain/labels.ts';
import { isTerminal } from '../../src/domain/pod.ts';
import type { Displacement } from '../../src/domain/displacement.ts';
import { makesWay, isFinal, type TicketPhase } from '../../src/domain/ticket.ts';
import { lastEvictionMs, THAW_AFTER_DEADLINE_MS } from '../../src/domain/thaw-rule.ts';
import type { CloseReason } from '../../src/engine/displace/close-reasons.ts';
import { SILENT_AFTER_MS } from '../../src/kube/agent-lease.ts';
import { quantityToInteger } from '../../src/domain/quantity.ts';
import { pathOf, RESOURCES } from '../../src/kube/resources.ts';
import type { KubeObject } from '../../src/kube/transport.ts';
import { checkpointOf, podOf, ticketOf } from './parsed.ts';
import {
  BEHIND_MS,
  WELL_BEHIND_MS,
  behindMs,
  checkpointDeletionBegun,
  checkpointUndoingBegun,
  checkpointNamed,
  containers,
  deletionBegun,
  demandsSaving,
  evictionBegun,
  exists,
  failureSent,
  isBeingUndone,
  isCalm,
  isGated,
  isHeldForEviction,
  isKeptLongEnough,
  isReplaced,
  isSavedAndStill,
  otherPlans,
  podWith,
  recordedRules,
  stands,
  stillHolds,
  barrierEndMs,
  ticketCreated,
  ticketOfVictim,
  tickets,
  waitEndsMs,
  whyNotUnsaved,
  type Invariant,
} from './evidence.ts';
import { invalidAnswer } from './answers.ts';
import { whyOtherWork } from './identity.ts';
import { unless } from './excuses.ts';
import { workloadOf } from '../../src/sim/nodes/workload.ts';
import { NODE_INVARIANTS } from './node-invariants.ts';
import { OWNER_INVARIANTS } from './owner-invariants.ts';
import { PLACING_INVARIANTS } from './placing-invariants.ts';
import { RETURN_INVARIANTS } from './return-invariants.ts';
import { ROOM_INVARIANTS } from './room-invariants.ts';
import { TOLD_INVARIANTS } from './told-invariants.ts';

/** What was decided before a fault is written by then. */
const STRUCK_MS = 5_000;
/** How long a read may be under way, and a second: what was renewed meanwhile, a verdict after that read does not know. */
const UNREAD_MS = 11_000;
/** How long an agent that is well may take to let go of a pod, beyond its deadline. */
const THAW_MS = 15_000;
/** A node that has been well for this long has heard of a deletion, by its watch or by asking before it thaws. */
const HEARD_MS = 10_000;
/** Before a ticket ends its bare pod is tried once more: five seconds, and what a request takes. */
const LAST_TRY_MS = 6_000;

/** The invariants of ARCHITECTURE.md, as checks over what is true in the API server and on the nodes. Each returns how it was broken, or null. */
export const INVARIANTS = {
  ...RETURN_INVARIANTS,
  ...NODE_INVARIANTS,
  ...TOLD_INVARIANTS,
  ...OWNER_INVARIANTS,
  ...PLACING_INVARIANTS,
  ...ROOM_INVARIANTS,

  'a victim is evicted saved, or as its policy allows': (truth, seen) => {
    const victim = evictionBegun(truth, seen);
    if (victim === null || !victim.by.startsWith('reprieve')) return null;
    const ticket = ticketOfVictim(truth, victim.uid);
    const planned = ticket?.displacement.pods.find(({ uid }) => uid === victim.uid);
    if (ticket === undefined || planned === undefined)
      return demandsSaving(truth, victim.object, 'a victim is evicted saved, or as its policy allows');
    if (isSavedAndStill(truth, victim.object, ticket)) return null;
    const isOver = truth.isOver(ticket.displacement) || isBeingUndone(truth, ticket);
    if (planned.plan === 'Reuse' && !isOver && stillHolds(truth, planned.checkpoint)) return null;
    const others = isOver ? otherPlans(truth, victim, ticket) : [];
    const broken = others.map((plan) => whyNotUnsaved(truth, victim.object, plan));
    if (others.length > 0 && !broken.includes(null)) return broken[0] as string;
    const goneMs = truth.goneCheckpoints.get(planned.checkpoint ?? '') ?? -Infinity;
    return unless(
      truth,
      'a victim is evicted saved, or as its policy allows',
      whyNotUnsaved(truth, victim.object, planned),
      {
        'the terms of another displacement': () => others.length > 0,
        'a reused checkpoint that went a moment ago': () =>
          planned.plan === 'Reuse' && !isOver && truth.world.elapsedMs - goneMs < behindMs(truth),
      },
    );
  },

  'nobody goes before all are saved': (truth, seen) => {
    const victim = evictionBegun(truth, seen);
    if (victim === null || !victim.by.startsWith('reprieve')) return null;
    const ticket = ticketOfVictim(truth, victim.uid);
    if (ticket === undefined || truth.world.clock.now() >= waitEndsMs(truth, ticket)) return null;
    for (const { uid, name, plan, checkpoint } of ticket.displacement.pods) {
      if (plan !== 'Save' || uid === victim.uid || !stands(podWith(truth, uid))) continue;
      const raw = checkpointNamed(truth, checkpoint);
      const order = raw === undefined ? null : checkpointOf(raw);
      if (order !== null && (order.ready || order.failure !== null)) continue;
      const broken = unless(
        truth,
        'nobody goes before all are saved',
        `${victim.name} was deleted while ${name} beside it was not saved`,
        {
          'a checkpoint beside it that is gone or going': () =>
            order?.deleting === true || order?.release != null || truth.goneCheckpoints.has(checkpoint),
          'a silent agent': () => truth.takesForSilent(victim.by, preemptionIn(ticket.displacement).node),
        },
      );
      if (broken !== null) return broken;
    }
    return null;
  },

  'the leader knows within a minute whether the webhook is called': (truth, seen) => {
    const { world, reach } = truth;
    if (seen.kind !== 'second' || reach === null) return null;
    const sinceMs = Math.max(truth.webhookTurnedMs, truth.leadingSinceMs, world.unwellMs - world.startMs);
    if (world.elapsedMs - sinceMs < 60_000 || reach.isCalled !== truth.isWebhookAway) return null;
    return `the webhook is ${truth.isWebhookAway ? 'away' : 'there'}, and the leader says ${reach.reason}: ${reach.message}`;
  },

  'kube-scheduler evicts nobody that is to be saved': (truth, seen) => {
    const victim = evictionBegun(truth, seen);
    if (victim === null || !victim.by.startsWith('scheduler')) return null;
    return demandsSaving(truth, victim.object, 'kube-scheduler evicts nobody that is to be saved');
  },

  'the ticket is durable before the delete': (truth, seen) => {
    const victim = evictionBegun(truth, seen);
    if (victim === null || !victim.by.startsWith('reprieve') || podOf(victim.object).frozenBy === null) return null;
    const ticket = ticketOfVictim(truth, victim.uid);
    if (ticket === undefined) {
      return unless(
        truth,
        'the ticket is durable before the delete',
        `${victim.name} was deleted frozen, and no ticket names it`,
        { 'a freeze that holds it for no eviction': () => !isHeldForEviction(truth, victim.object) },
      );
    }
    if (isFinal(ticket.phase) || ticket.deleting)
      return `${victim.name} was deleted, and its ticket is ${ticket.deleting ? 'going' : ticket.phase}`;
    // One that has been thawed goes unsaved, whatever mark its agent could not remove yet.
    if (!truth.outlived.has(victim.uid)) {
      const raw = checkpointNamed(truth, ticket.checkpoint);
      const boundMs = (raw && checkpointOf(raw).deadlineMs) ?? Infinity;
      truth.committed.set(victim.uid, { atMs: truth.world.elapsedMs, boundMs });
    }
    return null;
  },

  'nobody goes before every webhook that answers from its index knows the ticket': (truth, seen) => {
    const victim = evictionBegun(truth, seen);
    if (victim === null || !victim.by.startsWith('reprieve')) return null;
    const ticket = ticketOfVictim(truth, victim.uid);
    const planned = ticket?.displacement.pods.find(({ uid }) => uid === victim.uid);
    if (ticket === undefined || planned === undefined || planned.plan === 'Evict') return null;
    if (planned.plan === 'Save' && !isSavedAndStill(truth, victim.object, ticket)) return null;
    for (const replica of truth.world.replicas) {
      const name = replica?.process.name;
      if (!replica?.process.isAlive || name === victim.by || !replica.reprieve.answersFromIndex) continue;
      if (replica.reprieve.index.ticketOfVictim({ namespace: ticket.namespace, uid: ticket.pod.uid }) !== undefined)
        continue;
      const broken = unless(
        truth,
        'nobody goes before every webhook that answers from its index knows the ticket',
        `${victim.name} was deleted, and ${name} does not know ${ticket.name}`,
        {
          'the end of the time for saving': () => truth.world.clock.now() >= barrierEndMs(truth, ticket),
          'an event that its watch has lost': () => replica.process.hasLost(pathOf(RESOURCES.reprieves)),
        },
      );
      if (broken !== null) return broken;
    }
    return null;
  },

  'what is committed never goes on': (truth, seen) => {
    if (seen.kind !== 'work') return null;
    const { kind, podUid, pod, progressSeconds } = seen.event;
    if (!truth.committed.has(podUid)) return null;
    if (kind === 'thawed') {
      const broken = `${pod} went on after it was deleted frozen`;
      const heardNothing = truth.world.machines.get(seen.event.node)?.hasBeenWell(HEARD_MS) === false;
      const isPastBound = truth.world.clock.now() >= (truth.committed.get(podUid)?.boundMs ?? Infinity);
      const verdict = unless(truth, 'what is committed never goes on', broken, {
        'a bound that came while its node heard nothing': () => isPastBound && heardNothing,
      });
      if (verdict === null) truth.committed.delete(podUid);
      return verdict;
    }
    const saved = truth.savedProgress.get(podUid);
    if (kind !== 'killed' || saved === undefined || Math.abs(saved - progressSeconds) < 0.001) return null;
    return `${pod} was killed at ${progressSeconds} s of work, saved at ${saved} s`;
  },

  'nothing is deleted for a state that it has outlived': (truth, seen) => {
    const victim = deletionBegun(seen);
    if (victim === null || !victim.by.startsWith('reprieve') || seen.kind !== 'write') return null;
    const { preconditions } = (seen.write.by?.body ?? {}) as { readonly preconditions?: { resourceVersion?: string } };
    if (preconditions?.resourceVersion === undefined || !truth.outlived.has(victim.uid)) return null;
    return `${victim.name} was deleted as frozen and saved, and had been thawed before`;
  },

  'nothing is restored that its pod has outlived': (truth, seen) => {
    if (seen.kind !== 'work' || seen.event.kind !== 'restored') return null;
    const name = podWith(truth, seen.event.podUid)?.metadata.annotations?.[TICKET_ANNOTATION];
    const ticket = tickets(truth).find((candidate) => candidate.name === name);
    if (ticket === undefined || !truth.outlived.has(ticket.pod.uid)) return null;
    const isReuse = ticket.displacement.pods.some(({ uid, plan }) => uid === ticket.pod.uid && plan === 'Reuse');
    return isReuse
      ? null
      : `${seen.event.pod} continues a state of ${ticket.pod.name}, which was thawed after it was saved`;
  },

  'a saved process continues once': (truth, seen) => {
    if (seen.kind !== 'work' || seen.event.kind !== 'restored') return null;
    const { podUid, pod, progressSeconds } = seen.event;
    const object = podWith(truth, podUid);
    const name = object?.metadata.annotations?.[TICKET_ANNOTATION];
    const ticket = tickets(truth).find((candidate) => candidate.name === name);
    if (object === undefined || ticket === undefined)
      return unless(truth, 'a saved process continues once', `${pod} continues, and it or its ticket is gone`, {
        'its own deletion': () => true,
      });
    const victim = ticket.pod.uid;
    if (exists(truth, victim)) return `${pod} continues ${ticket.pod.name}, whose object still exists`;
    const runs = containers(truth).find((container) => container.uid === victim);
    if (runs !== undefined && ['running', 'frozen'].includes(runs.state)) {
      const broken = unless(
        truth,
        'a saved process continues once',
        `${pod} continues ${ticket.pod.name}, whose container is ${runs.state} on ${runs.nodeName}`,
        { 'a node that runs on without its pod': () => !truth.committed.has(victim) },
      );
      if (broken !== null) return broken;
    }
    const others = truth.continuedBy.get(victim) ?? [];
    const twin = containers(truth).find(
      ({ uid, state }) => uid !== podUid && others.includes(uid) && state === 'running' && exists(truth, uid),
    );
    truth.continuedBy.set(victim, [...others, podUid]);
    if (twin !== undefined) return `${pod} and ${twin.pod.metadata.name} both continue ${ticket.pod.name}`;
    const saved = truth.savedProgress.get(victim);
    const isReuse = ticket.displacement.pods.some(({ uid, plan }) => uid === victim && plan === 'Reuse');
    if (!isReuse && saved !== undefined && Math.abs(saved - progressSeconds) > 0.001) {
      return `${pod} continues at ${progressSeconds} s, its predecessor was saved at ${saved} s`;
    }
    const predecessor = truth.savedPods.get(victim);
    const why = predecessor === undefined ? null : whyOtherWork(predecessor, object);
    return why === null ? null : `${pod} continues ${ticket.pod.name}, which is ${why}`;
  },

  'a state that may be needed is not deleted': (truth, seen) => {
    const deletion = checkpointDeletionBegun(seen);
    if (deletion === null || !deletion.by.startsWith('reprieve')) return null;
    const { by, checkpoint } = deletion;
    if (checkpoint.owner === null) return `${by} deleted ${checkpoint.name}, which a user made`;
    if (!checkpoint.ready || checkpoint.thawed) return null;
    const { clock, unwellMs, elapsedMs } = truth.world;
    for (const ticket of tickets(truth).filter((one) => one.checkpoint === checkpoint.name)) {
      const { name, phase, pod } = ticket;
      if (isFinal(phase)) {
        // Whoever struck has left a mark.
        if (phase === 'Restored' || clock.now() - unwellMs < STRUCK_MS) continue;
        if (!isKeptLongEnough(truth, ticket, clock.now()))
          return `${by} deleted ${checkpoint.name}, and ${name} is ${phase} for a moment only`;
      } else if (!exists(truth, pod.uid) && elapsedMs - (truth.goneMs.get(pod.uid) ?? 0) > WELL_BEHIND_MS) {
        return `${by} deleted ${checkpoint.name}, and ${name} is ${phase}`;
      }
    }
    return null;
  },

  'what is saved passes over to a higher preemptor': (truth, seen) => {
    const undoing = checkpointUndoingBegun(seen);
    if (undoing === null || undoing.by !== truth.holder) return null;
    const { by, checkpoint } = undoing;
    const { name, podUid, ready, frozen, deadlineMs } = checkpoint;
    const ticket = tickets(truth).find((one) => one.checkpoint === name && one.phase === 'Saving');
    const pod = podWith(truth, podUid);
    if (!ready || !frozen || ticket === undefined || !stands(pod)) return null;
    const heir = truth.heirOf(by, ticket.displacement);
    if (heir === undefined || !heir.pods.some(({ uid }) => uid === podUid)) return null;
    return unless(
      truth,
      'what is saved passes over to a higher preemptor',
      `${by} throws ${name} away, and ${preemptionIn(heir).preemptor.name} needs the room of ${pod.metadata.name}`,
      {
        'a hold that ends too soon': () =>
          Math.min((deadlineMs ?? 0) - THAW_AFTER_DEADLINE_MS, lastEvictionMs(checkpoint.thawAtMs ?? Infinity)) <
          plannedEndMs(heir) + 2_000,
        'a record that came late': () => truth.world.clock.now() - truth.world.unwellMs < behindMs(truth),
      },
    );
  },

  'what is saved for an open displacement is kept': (truth, seen) => {
    const undoing = checkpointUndoingBegun(seen);
    if (undoing === null || undoing.by !== truth.holder) return null;
    const { by, checkpoint } = undoing;
    const { name, podUid, ready, frozen } = checkpoint;
    if (!ready || !frozen || !stands(podWith(truth, podUid))) return null;
    const open = truth
      .openByLeader()
      .find(({ pods }) => pods.some((one) => one.uid === podUid && one.checkpoint === name));
    // Of a record that nobody adopts no end is told; its cause has ended with its preemptor.
    return open === undefined || !stands(podWith(truth, preemptionIn(open).preemptor.uid))
      ? null
      : `${by} throws ${name} away, for which ${preemptionIn(open).preemptor.name} waits`;
  },

  'only who never ran is replaced': (truth, seen) => {
    const pod = deletionBegun(seen);
    if (pod === null || !pod.by.startsWith('reprieve') || !isReplaced(truth, pod)) return null;
    const container = containers(truth).find(({ uid, state }) => uid === pod.uid && state !== 'ended');
    if (container === undefined || container.state === 'starting') return null;
    return `${pod.name} was deleted for its failed restore while it was ${container.state}`;
  },

  'nobody starts cold who is to be held': (truth, seen) => {
    if (seen.kind !== 'work' || seen.event.kind !== 'coldStarted') return null;
    const pod = podWith(truth, seen.event.podUid);
    if (pod?.metadata.annotations?.[ON_FAILURE_ANNOTATION] !== 'Hold') return null;
    const ticket = tickets(truth).find(({ name }) => name === pod.metadata.annotations?.[TICKET_ANNOTATION]);
    if (ticket === undefined || isFinal(ticket.phase)) return null;
    return ticket.claim?.uid === pod.metadata.uid || makesWay(ticket, podOf(pod).uid)
      ? `${seen.event.pod} started cold, and its ticket is ${ticket.phase}`
      : null;
  },

  'a pod is saved by the rules that its ticket records': (truth, seen) => {
    if (seen.kind !== 'write' || seen.write.kind !== RESOURCES.podCheckpoints || seen.write.type !== 'MODIFIED')
      return null;
    const { ready, owner, bytes, podUid, name } = checkpointOf(seen.write.object);
    if (!ready || owner === null || checkpointOf(seen.write.previous as KubeObject).ready) return null;
    const rules = recordedRules(truth, name);
    const pod = podWith(truth, podUid);
    if (rules === null || pod === undefined) return null;
    const { connections, volumeBytes, stateBytes } = workloadOf(pod);
    if (rules.sockets === 'Refuse' && connections > 0) return `${name} is of a pod with TCP connections`;
    if (rules.volumes === 'None' && volumeBytes > 0 && bytes === stateBytes) return `${name} holds volumes`;
    return rules.maxBytes !== '0' && bytes > quantityToInteger(rules.maxBytes) ? `${name} has ${bytes} bytes` : null;
  },

  'a bare pod is created again': (truth, seen) => {
    if (seen.kind !== 'write' || seen.write.kind !== RESOURCES.reprieves || seen.write.type !== 'MODIFIED') return null;
    const before = ticketOf(seen.write.previous as KubeObject);
    const { phase, owner, name, restore } = ticketOf(seen.write.object);
    if (phase !== 'Abandoned' || before.phase !== 'Waiting' || owner !== null || before.claim !== null) return null;
    const isTaken = truth.world.api.list(RESOURCES.pods).some(({ metadata }) => metadata.name === before.pod.name);
    const wellMs = truth.world.clock.now() - Math.max(truth.world.unwellMs, before.phaseMs);
    const { elapsedMs, until } = truth.world;
    const lastTryMs = elapsedMs - LAST_TRY_MS;
    return unless(truth, 'a bare pod is created again', `${name} was abandoned, and nobody created its pod again`, {
      'a name that is taken': () => isTaken,
      'trouble of those who would': () => wellMs < BEHIND_MS,
      'an API server that refuses it until then': () =>
        lastTryMs < until.podsRefused || (restore.onFailure === 'Hold' && lastTryMs < until.classRefused),
    });
  },

  'nobody is let go before the old pod is gone': (truth, seen) => {
    if (seen.kind !== 'write' || seen.write.kind !== RESOURCES.pods || seen.write.type !== 'MODIFIED') return null;
    const { object, previous } = seen.write;
    if (!isGated(previous) || isGated(object)) return null;
    // A person who removes the gate by hand decides when; the pod is restored where it lands.
    if (seen.write.by?.user.startsWith('reprieve') !== true) return null;
    const name = object.metadata.annotations?.[TICKET_ANNOTATION];
    const ticket = tickets(truth).find((candidate) => candidate.name === name);
    if (ticket === undefined || !exists(truth, ticket.pod.uid)) return null;
    return `${object.metadata.name} was let go for ${ticket.pod.name}, whose object still exists`;
  },

  'what must not start cold is held': (truth, seen) => {
    if (seen.kind !== 'write' || seen.write.kind !== RESOURCES.reprieves || seen.write.type !== 'MODIFIED') return null;
    const before = ticketOf(seen.write.previous as KubeObject);
    const { name, phase, restore, claim, failedNodes, checkpoint } = ticketOf(seen.write.object);
    if (phase !== 'ColdStarted' || before.phase === phase || restore.onFailure !== 'Hold') return null;
    if (failedNodes.length === before.failedNodes.length || !stillHolds(truth, checkpoint)) return null;
    const broken = `${name} starts cold after a failed restore, and its policy says Hold`;
    return unless(truth, 'what must not start cold is held', broken, {
      'a gate that a person removed': () => claim !== null && truth.ungatedByHand.has(claim.uid),
    });
  },

  'a node that failed is not tried again': (truth, seen) => {
    if (seen.kind !== 'write' || seen.write.kind !== RESOURCES.reprieves || seen.write.type !== 'MODIFIED') return null;
    const before = ticketOf(seen.write.previous as KubeObject);
    const { name, phase, claim, failedNodes } = ticketOf(seen.write.object);
    if (phase !== 'Restoring' || before.phase === phase) return null;
    const pod = podWith(truth, claim?.uid);
    const node = pod === undefined ? null : podOf(pod).nodeName;
    const failed = failedNodes.find((one) => one.node === node && one.pod !== claim?.uid);
    const broken = failed && `${name} is to be restored on ${failed.node}, which has failed: ${failed.reason}`;
    return unless(truth, 'a node that failed is not tried again', broken ?? null, {
      'a gate that a person removed': () => claim !== null && truth.ungatedByHand.has(claim.uid),
    });
  },

  'tickets move along their phases': (_, seen) => {
    if (seen.kind !== 'write' || seen.write.kind !== RESOURCES.reprieves || seen.write.type !== 'MODIFIED') return null;
    const before = ticketOf(seen.write.previous as KubeObject).phase;
    const { phase, name } = ticketOf(seen.write.object);
    return before === phase || NEXT_PHASES[before].includes(phase) ? null : `${name} went from ${before} to ${phase}`;
  },

  'a ticket stays until its end': (truth, seen) => {
    if (seen.kind !== 'write' || seen.write.kind !== RESOURCES.reprieves || seen.write.type !== 'DELETED') return null;
    const { phase, pod, name } = ticketOf(seen.write.object);
    if (isFinal(phase) || !truth.committed.has(pod.uid)) return null;
    return `${name} was removed in phase ${phase}, and its pod was evicted`;
  },

  'one ticket claims a pod': (truth, seen) => {
    if (seen.kind !== 'write' || seen.write.kind !== RESOURCES.reprieves || seen.write.type === 'DELETED') return null;
    const { claim, name, phase } = ticketOf(seen.write.object);
    if (claim === null || isFinal(phase)) return null;
    const rival = tickets(truth).find(
      (other) => other.claim?.uid === claim.uid && other.name !== name && !isFinal(other.phase) && !other.deleting,
    );
    return rival === undefined ? null : `${name} and ${rival.name} both claim ${claim.name}`;
  },

  'records never contradict each other': (truth, seen) => {
    if (seen.kind !== 'write' || seen.write.kind !== RESOURCES.events) return null;
    const event = seen.write.object as unknown as {
      readonly reason?: string;
      readonly message?: string;
      readonly involvedObject?: { readonly name?: string };
    };
    if (event.reason !== 'RecordsConflict') return null;
    return unless(
      truth,
      'records never contradict each other',
      `${event.involvedObject?.name ?? ''}: ${event.message ?? ''}`,
      {
        'a term that ended between two decisions': () => event.message?.includes('another one for') ?? false,
        'a record that somebody damaged': () => truth.world.damaged.has(event.involvedObject?.name ?? ''),
        'a gate that a person removed': () => {
          const pods = [...truth.ungatedByHand].map((uid) => podWith(truth, uid));
          return pods.some((pod) => pod !== undefined && podOf(pod).ticket === event.involvedObject?.name);
        },
      },
    );
  },

  'only the leader writes': (truth, seen) => {
    if (seen.kind !== 'sent' || !seen.process.startsWith('reprieve') || seen.request.method === 'GET') return null;
    // A webhook asks the API server by a dry run whether it takes a pod. That changes nothing.
    if (seen.request.path.includes('/leases') || seen.request.query?.['dryRun'] !== undefined) return null;
    if (truth.holder === seen.process) return null;
    return `${seen.process} sent ${seen.request.method} ${seen.request.path} while ${truth.holder ?? 'nobody'} leads`;
  },

  'a leader goes by what it decided and by the records': (truth, seen) => {
    const isKnown = (id: string): boolean => truth.displacementsKnown().some((displacement) => displacement.id === id);
    if (seen.kind === 'closed' && seen.by === truth.holder && !isKnown(seen.displacement.id))
      return `${seen.by} closed ${seen.displacement.id}, a displacement of an earlier term`;
    const victim = evictionBegun(truth, seen);
    if (victim !== null && victim.by === truth.holder) {
      const isPlanned = truth.displacementsKnown().some(({ pods }) => pods.some(({ uid }) => uid === victim.uid));
      return isPlanned ? null : `${victim.by} deleted ${victim.name}, and no displacement it may know of names it`;
    }
    const ticket = ticketCreated(seen);
    if (ticket === null || ticket.by !== truth.holder) return null;
    return isKnown(ticket.displacement.id)
      ? null
      : `${ticket.by} created ${ticket.name} for ${ticket.displacement.id}, a displacement of an earlier term`;
  },

  'a leader adopts what it finds': (truth, seen) => {
    const ticket = ticketCreated(seen);
    const by = seen.kind === 'opened' ? seen.by : ticket?.by;
    const displacement = seen.kind === 'opened' ? seen.displacement : ticket?.displacement;
    if (displacement === undefined || by !== truth.holder) return null;
    // A ticket that cannot be true is never adopted.
    if (seen.kind === 'opened' && truth.world.damaged.size > 0) return null;
    const { id } = displacement;
    const cause = preemptionIn(displacement);
    const inherited = truth.displacementsInherited();
    if (inherited.some((other) => other.id === id)) return null;
    const rival = inherited.find(
      (other) => preemptionIn(other).preemptor.uid === cause.preemptor.uid && !truth.isOver(other),
    );
    return rival === undefined
      ? null
      : `${by} decides anew for ${cause.preemptor.name}, for which it found ${rival.id} open`;
  },

  'a displacement ends for what is true': (truth, seen) => {
    if (seen.kind !== 'closed') return null;
    const { preemptor, node } = preemptionIn(seen.displacement);
    const pod = podWith(truth, preemptor.uid);
    const isGone = !stands(pod);
    const isTrue: Partial<Record<CloseReason, boolean>> = {
      PreemptorGone: isGone,
      Bound: isGone || podOf(pod).nodeName === node,
    };
    if (isTrue[seen.because] ?? true) return null;
    return unless(
      truth,
      'a displacement ends for what is true',
      `${seen.by} closed the displacement for ${preemptor.name}: ${seen.because}`,
      { 'trouble of those who decide': () => truth.world.clock.now() - truth.world.unwellMs < BEHIND_MS },
    );
  },

  'a claim ends with its pod or its state': (truth, seen) => {
    if (seen.kind !== 'write' || seen.write.kind !== RESOURCES.reprieves || seen.write.type !== 'MODIFIED') return null;
    const { claim, phase: before, decide } = ticketOf(seen.write.previous as KubeObject);
    const ticket = ticketOf(seen.write.object);
    const isAbandoned = ticket.phase === 'Abandoned' && before !== 'Abandoned';
    if (claim === null || (claim.uid === ticket.claim?.uid && !isAbandoned)) return null;
    if (!stands(podWith(truth, claim.uid))) return null;
    const raw = checkpointNamed(truth, ticket.checkpoint);
    return unless(
      truth,
      'a claim ends with its pod or its state',
      `${ticket.name} let go of ${claim.name}, which stands`,
      {
        'a state that is gone or going': () =>
          raw === undefined || !checkpointOf(raw).ready || isBeingUndone(truth, ticket),
        'a restore that failed': () => makesWay(ticket, claim.uid),
        'a victim that never goes': () => ticket.phase === 'Abandoned' && before === 'Displacing',
        'a person who abandons it': () => ticket.phase === 'Abandoned' && decide === 'abandon',
        'a person who has it tried again': () => isFinal(before) && ticket.phase === 'Waiting' && decide === 'retry',
      },
    );
  },

  'nobody is evicted for a preemptor that is gone': (truth, seen) => {
    const victim = evictionBegun(truth, seen);
    if (victim === null || !victim.by.startsWith('reprieve')) return null;
    const ticket = ticketOfVictim(truth, victim.uid);
    if (ticket === undefined) return null;
    const { displacement } = ticket;
    const { uid, name } = preemptionIn(displacement).preemptor;
    const bound = truth.bound.get(uid);
    const sinceMs =
      truth.goneMs.get(uid) ??
      (bound !== undefined && bound.node !== preemptionIn(displacement).node ? bound.atMs : Infinity);
    if (sinceMs === Infinity) return null;
    return unless(
      truth,
      'nobody is evicted for a preemptor that is gone',
      `${victim.name} was deleted for ${name}, which has been gone or bound elsewhere since ${sinceMs} ms`,
      {
        'an end that is only a moment old': () => truth.world.elapsedMs - sinceMs < behindMs(truth),
        'the terms of another displacement': () =>
          isBeingUndone(truth, ticket) || checkpointNamed(truth, ticket.checkpoint) === undefined,
      },
    );
  },

  'no agent is taken for silent that has just renewed its Lease': (truth, seen) => {
    if (seen.kind !== 'second') return null;
    for (const { by, node } of truth.newlySilent()) {
      const quietMs = (truth.renewalsMs.get(node) ?? []).map((atMs) => truth.world.elapsedMs - atMs);
      const knownMs = quietMs.find((ms) => ms >= UNREAD_MS && ms < SILENT_AFTER_MS);
      if (knownMs !== undefined)
        return `${by} takes the agent of ${node} for silent, which renewed its Lease ${knownMs} ms ago`;
    }
    return null;
  },

  'nobody stands still beyond the deadline': (truth, seen) => {
    if (seen.kind !== 'second') return null;
    const nowMs = truth.world.clock.now();
    for (const machine of truth.world.machines.values()) {
      if (!machine.hasBeenWell(THAW_MS)) continue;
      for (const { state, stateSeconds, frozenBy, pod } of machine.state?.containers.values() ?? []) {
        if (state !== 'frozen' || stateSeconds * 1000 < THAW_MS) continue;
        const uid = frozenBy?.split('_')[2];
        const raw = truth.world.api.list(RESOURCES.podCheckpoints).find(({ metadata }) => metadata.uid === uid);
        const orderGoneMs = truth.world.startMs + (truth.goneMs.get(uid ?? '') ?? 0);
        const deadlineMs = raw === undefined ? orderGoneMs : (checkpointOf(raw).deadlineMs ?? Infinity);
        if (nowMs > deadlineMs + THAW_MS) {
          return `${pod.metadata.name} has stood frozen for ${stateSeconds} s, ${raw === undefined ? 'and its order is gone' : 'past its deadline'}`;
        }
      }
    }
    return null;
  },

  'nobody stands still beyond the bound, whoever its agent reaches': (truth, seen) => {
    if (seen.kind !== 'second') return null;
    const nowMs = truth.world.clock.now();
    for (const machine of truth.world.machines.values()) {
      if (!machine.agentHasRun(THAW_MS)) continue;
      for (const { state, frozenBy, pod } of machine.state?.containers.values() ?? []) {
        const deadlineMs = truth.deadlines.get(frozenBy?.split('_')[2] ?? '') ?? Infinity;
        if (state === 'frozen' && nowMs > deadlineMs + THAW_MS)
          return `${pod.metadata.name} stands frozen ${Math.round((nowMs - deadlineMs) / 1000)} s beyond its bound`;
      }
    }
    return null;
  },

  'a pod is frozen when its disk is free': (truth, seen) => {
    if (seen.kind !== 'second') return null;
    for (const machine of truth.world.machines.values()) {
      if (!machine.hasBeenWell(THAW_MS)) continue;
      const unsaved = [...(machine.state?.containers.values() ?? [])].filter(
        ({ state, stateSeconds, hold }) => state === 'frozen' && hold?.isSaved === false && stateSeconds >= 1,
      );
      const [first, second] = unsaved.map(({ pod }) => pod.metadata.name);
      if (first === undefined || second === undefined) continue;
      const broken = unless(
        truth,
        'a pod is frozen when its disk is free',
        `${first} and ${second} stand frozen on ${machine.spec.name}, and neither is saved`,
        { 'a thaw that fails': () => truth.world.clock.now() - truth.world.thawFailedMs < THAW_MS },
      );
      if (broken !== null) return broken;
    }
    return null;
  },

  'a request says what is true when it fails': (truth, seen) => {
    // Judged when its agent says so: the pod may start while that is on its way.
    const failed = failureSent(truth, seen);
    if (failed?.reason !== 'NotRunning') return null;
    const { name, podUid, nodeName } = failed.checkpoint;
    const container = truth.world.machines.get(nodeName)?.state?.containers.get(podUid);
    const lives = container?.state === 'running' || container?.state === 'frozen';
    return lives && stands(podWith(truth, podUid))
      ? `${name} failed as NotRunning, and its pod is ${container.state}`
      : null;
  },

  'nobody waits for a process that no longer leads': (truth, seen) => {
    if (seen.kind !== 'second' || !isCalm(truth)) return null;
    const latestMs = truth.world.clock.now() - BEHIND_MS;
    for (const object of truth.world.api.list(RESOURCES.pods)) {
      const waiting = truth.waitingFor.get(object.metadata.uid ?? '');
      if (waiting === undefined || waiting.by.includes(truth.holder ?? '') || waiting.sinceMs > latestMs) continue;
      const pod = podOf(object);
      if (!pod.preemptionDeferred || pod.nodeName !== null || pod.deletionMs !== null || isTerminal(pod)) continue;
      const isMadeRoomFor = (): boolean =>
        tickets(truth).some(
          ({ phase, displacement }) =>
            (phase === 'Saving' || phase === 'Displacing') && preemptionIn(displacement).preemptor.uid === pod.uid,
        );
      const broken = unless(
        truth,
        'nobody waits for a process that no longer leads',
        `${pod.name} was told to wait by ${waiting.by.join(' and ')}, and ${truth.holder ?? 'nobody'} leads`,
        { 'room that is being made for it': isMadeRoomFor },
      );
      if (broken !== null) return broken;
    }
    return null;
  },

  'a ticket that ended holds nothing any more': (truth, seen) => {
    if (seen.kind !== 'second' || truth.endedMs.size === 0 || !isCalm(truth)) return null;
    const sinceMs = truth.world.elapsedMs - WELL_BEHIND_MS;
    const open = tickets(truth).filter(({ phase }) => !isFinal(phase));
    for (const ticket of tickets(truth)) {
      const { uid, name, phase, claim, checkpoint } = ticket;
      if (!((truth.endedMs.get(uid) ?? Infinity) < sinceMs)) continue;
      const raw = checkpointNamed(truth, checkpoint);
      const isEarly = !isKeptLongEnough(truth, ticket, truth.world.clock.now() - WELL_BEHIND_MS);
      const isKept = phase !== 'Restored' && isEarly;
      const isOwned = raw !== undefined && checkpointOf(raw).owner !== null;
      if (isOwned && !isKept && raw.metadata.deletionTimestamp === undefined)
        return `${name} is ${phase}, and ${checkpoint} still stands`;
      const claimant = podWith(truth, claim?.uid);
      const isClaimed = open.some((other) => other.claim?.uid === claim?.uid);
      if (
        claimant !== undefined &&
        claimant.metadata.deletionTimestamp === undefined &&
        isGated(claimant) &&
        !isClaimed
      )
        return `${name} is ${phase}, and ${claimant.metadata.name} is still gated`;
    }
    return null;
  },

  'kube-scheduler gets a valid answer': (truth, seen) => {
    if (seen.kind !== 'answer') return null;
    const { verb, body, answer } = seen;
    if (answer.status !== 200) return `${verb}: ${answer.status} ${answer.body}`;
    return invalidAnswer(truth, verb, body, answer.body);
  },
} as const satisfies Record<string, Invariant>;

/** When all that a displacement has planned to save is saved, if it takes no longer than expected. */
function plannedEndMs({ deadlineMs, pods }: Displacement): number {
  return deadlineMs - Math.min(...pods.flatMap(({ terms }) => (terms === null ? [] : [terms.maxDelayMs])));
}

const NEXT_PHASES: Readonly<Record<TicketPhase, readonly TicketPhase[]>> = {
  Saving: ['Displacing', 'Waiting', 'Abandoned'],
  Displacing: ['Waiting', 'Abandoned', 'ColdStarted'],
  Waiting: ['Admitted', 'Restoring', 'Held', 'Restored', 'ColdStarted', 'Abandoned'],
  Admitted: ['Restoring', 'Held', 'Restored', 'Waiting', 'ColdStarted', 'Abandoned'],
  Restoring: ['Held', 'Restored', 'Waiting', 'ColdStarted', 'Abandoned'],
  Held: ['Waiting', 'Admitted', 'ColdStarted', 'Abandoned'],
  Restored: [],
  ColdStarted: ['Waiting'],
  Abandoned: ['Waiting'],
};
