/** What the invariants look up and ask of what is true. */
import { RESTORE_GATE } from '../../src/domain/labels.ts';
import { isTerminal } from '../../src/domain/pod.ts';
import { protectionOf, rulingPolicy } from '../../src/domain/protection.ts';
import type { Policy } from '../../src/domain/policy.ts';
import type { PodUid } from '../../src/domain/ids.ts';
import { isFailedPod, isFinal, type Decision, type PlannedVictim, type Ticket } from '../../src/domain/ticket.ts';
import type { Checkpoint } from '../../src/domain/checkpoint.ts';
import type { CloseReason } from '../../src/engine/close-reasons.ts';
import { DEFAULT_ENGINE_SETTINGS } from '../../src/engine/steps.ts';
import { checkpointOf } from '../../src/kube/project/checkpoint.ts';
import { nodeOf } from '../../src/kube/project/node.ts';
import { podOf } from '../../src/kube/project/pod.ts';
import { ticketOf } from '../../src/kube/project/ticket.ts';
import type { checkpointRulesIn } from '../../src/kube/checkpoint-object.ts';
import type { ReprieveSpec } from '../../src/kube/crd/reprieve.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import type { KubeObject, KubeRequest } from '../../src/kube/transport.ts';
import type { ServerWrite } from '../../src/sim/api-server/server-options.ts';
import type { WorkEvent } from '../../src/sim/nodes/work-ledger.ts';
import { unless } from './excuses.ts';
import type { Truth } from './truth.ts';

/** One thing that happened, to be judged. */
export type Seen =
  | { readonly kind: 'write'; readonly write: ServerWrite }
  | { readonly kind: 'work'; readonly event: WorkEvent }
  | { readonly kind: 'sent'; readonly process: string; readonly request: KubeRequest }
  | {
      readonly kind: 'answer';
      readonly verb: string;
      readonly body: string;
      readonly answer: { readonly status: number; readonly body: string };
    }
  | { readonly kind: 'closed'; readonly by: string; readonly decision: Decision; readonly because: CloseReason }
  | { readonly kind: 'second' };

/** What Reprieve and kube-scheduler may not know yet: their watches lag, and a request may be slow on its way. */
export const BEHIND_MS = 50_000;
/** The same while nothing stands against their requests. */
export const WELL_BEHIND_MS = 10_000;

/** A deadline is a time of day: whoever reads it has only its own clock, and the faults set that. */
export function nowOf({ world }: Truth, processName: string): number {
  const replica = world.replicas.find((candidate) => candidate?.process.name === processName);
  return (replica?.process ?? world).clock.now();
}

/** When somebody set the wall clock of that process last. */
export function clockSetMs({ world }: Truth, processName: string): number {
  return world.replicas.find((candidate) => candidate?.process.name === processName)?.process.clockSetMs ?? 0;
}

/** Until then all victims must be saved before one goes. A policy that allows less time by now ends the wait sooner. */
export function waitEndsMs(truth: Truth, { decision }: Ticket): number {
  const planned = decision.victims.flatMap(({ terms }) => (terms === null ? [] : [terms.maxDelayMs]));
  const present = truth
    .policiesWithin(BEHIND_MS)
    .flatMap((policies) => policies.map(({ preemption }) => preemption.maxDelayMs));
  const sooner = Math.max(0, Math.min(...planned) - Math.min(...present, ...planned));
  return decision.deadlineMs - sooner - BEHIND_MS;
}

export function behindMs({ world }: Truth): number {
  return world.clock.now() - world.unwellMs < BEHIND_MS ? BEHIND_MS : WELL_BEHIND_MS;
}

/** For as long as anybody may be behind, everybody has been well and the same one has led. */
export function isCalm({ world, leadingSinceMs }: Truth): boolean {
  return world.clock.now() - Math.max(world.unwellMs, world.startMs + leadingSinceMs) >= BEHIND_MS;
}

/** The moment in which a pod begins to be deleted, and who did it. */
export function deletionBegun(
  seen: Seen,
): { readonly by: string; readonly uid: string; readonly name: string; readonly object: KubeObject } | null {
  if (seen.kind !== 'write' || seen.write.kind !== RESOURCES.pods) return null;
  const { object, previous, by, type } = seen.write;
  if (previous === null || previous.metadata.deletionTimestamp !== undefined || by === null) return null;
  if (type !== 'DELETED' && object.metadata.deletionTimestamp === undefined) return null;
  return { by: by.user, uid: previous.metadata.uid ?? '', name: previous.metadata.name, object: previous };
}

/** The rules of a checkpoint as the ticket says that ordered it, whatever our own reading of it is. Null: none did. */
export function recordedRules({ world }: Truth, name: string): ReturnType<typeof checkpointRulesIn> | null {
  for (const ticket of world.api.list(RESOURCES.reprieves)) {
    const { decision } = ticket['spec'] as Pick<ReprieveSpec, 'decision'>;
    const rules = decision.victims.find(({ checkpoint }) => checkpoint === name)?.terms?.checkpoint;
    if (rules !== undefined) return rules as ReturnType<typeof checkpointRulesIn>;
  }
  return null;
}

/** The moment in which a checkpoint begins to be deleted, and by whom. */
export function checkpointDeletionBegun(seen: Seen): { readonly by: string; readonly checkpoint: Checkpoint } | null {
  if (seen.kind !== 'write' || seen.write.kind !== RESOURCES.podCheckpoints) return null;
  const { object, previous, by, type } = seen.write;
  if (previous === null || previous.metadata.deletionTimestamp !== undefined || by === null) return null;
  if (type !== 'DELETED' && object.metadata.deletionTimestamp === undefined) return null;
  return { by: by.user, checkpoint: checkpointOf(previous) };
}

/** By the clock of that process, the ticket has been kept for as long as the settings say. */
export function isKeptLongEnough(truth: Truth, ticket: Ticket, nowMs: number): boolean {
  return nowMs >= ticket.phaseMs + retentionMs(truth);
}

export function retentionMs({ world }: Truth): number {
  return world.plan.settings.ticketRetentionMs ?? DEFAULT_ENGINE_SETTINGS.ticketRetentionMs;
}

/** The same for pods that go to make room: not one that was never restored, and is replaced. */
export function evictionBegun(truth: Truth, seen: Seen): ReturnType<typeof deletionBegun> {
  const victim = deletionBegun(seen);
  return victim !== null && isReplaced(truth, victim.uid) ? null : victim;
}

/** Its restore failed, and its ticket goes on without it. */
export function isReplaced(truth: Truth, podUid: string): boolean {
  return tickets(truth).some((ticket) => ticket.claim?.uid !== podUid && isFailedPod(ticket, podUid as PodUid));
}

/** The moment in which a ticket is created, and by whom. */
export function ticketCreated(seen: Seen): (Ticket & { readonly by: string }) | null {
  if (seen.kind !== 'write' || seen.write.kind !== RESOURCES.reprieves || seen.write.type !== 'ADDED') return null;
  return seen.write.by === null ? null : { ...ticketOf(seen.write.object), by: seen.write.by.user };
}

export function tickets(truth: Truth): readonly Ticket[] {
  return truth.world.api.list(RESOURCES.reprieves).map(ticketOf);
}

export function ticketOfVictim(truth: Truth, uid: string): Ticket | undefined {
  return tickets(truth).find(({ pod }) => pod.uid === uid);
}

export function checkpointNamed(truth: Truth, name: string | null): KubeObject | undefined {
  return truth.world.api.list(RESOURCES.podCheckpoints).find(({ metadata }) => metadata.name === name);
}

/** What is left of an earlier decision does not say for whom, or on what terms, its victim goes now. */
export function isBeingUndone(truth: Truth, { checkpoint }: Ticket): boolean {
  return checkpointNamed(truth, checkpoint)?.metadata.deletionTimestamp !== undefined;
}

/** What other decisions than that of its ticket, for which this process may evict it, have planned for a victim. */
export function otherPlans(
  truth: Truth,
  { by, uid }: { readonly by: string; readonly uid: string },
  { decision: own }: Ticket,
): readonly PlannedVictim[] {
  // Those of earlier leaders are known by their tickets alone.
  const adopted = tickets(truth).filter(({ phase }) => !isFinal(phase));
  return [...truth.decisionsOf(by, behindMs(truth)), ...adopted.map(({ decision }) => decision)]
    .filter(({ id }) => id !== own.id)
    .flatMap(({ victims }) => victims.filter((victim) => victim.uid === uid));
}

/** Why a victim must not be deleted unsaved that was planned for like this. */
export function whyNotUnsaved(truth: Truth, object: KubeObject, { action, onFailure }: PlannedVictim): string | null {
  if (action === 'evict') return demandsSaving(truth, object, EVICTED_SAVED);
  const pod = podOf(object);
  if (onFailure === 'Refuse') return `${pod.name} was to be spared, and was deleted unsaved`;
  const refuses = (policies: readonly Policy[]): boolean => {
    const policy = rulingPolicy(pod, policies, {});
    return policy?.preemption.onFailure === 'Refuse' && policy.preemption.decision !== 'Never';
  };
  const broken = `${pod.name} was deleted unsaved though its policy refuses that`;
  return unless(truth, EVICTED_SAVED, refuses(truth.policiesWithin(0).at(-1) ?? []) ? broken : null, {
    'a webhook that is not known to be called': () => pod.owner !== null && truth.isUnreached(behindMs(truth)),
    'a policy that demanded it only a moment ago': () => !truth.policiesWithin(behindMs(truth)).every(refuses),
  });
}

export function podWith(truth: Truth, uid: string | undefined): KubeObject | undefined {
  return truth.world.api.list(RESOURCES.pods).find(({ metadata }) => metadata.uid === uid);
}

export function exists(truth: Truth, podUid: string): boolean {
  return podWith(truth, podUid) !== undefined;
}

/** It has not ended, and nobody has asked for its deletion. */
export function stands(pod: KubeObject | undefined): pod is KubeObject {
  return pod !== undefined && pod.metadata.deletionTimestamp === undefined && !isTerminal(podOf(pod));
}

export function containers(truth: Truth) {
  return [...truth.world.machines.values()].flatMap(({ state }) => [...(state?.containers.values() ?? [])]);
}

export function isGated(pod: KubeObject | null): boolean {
  const spec = pod?.['spec'] as { readonly schedulingGates?: readonly { readonly name: string }[] } | undefined;
  return spec?.schedulingGates?.some(({ name }) => name === RESTORE_GATE) ?? false;
}

export function isHeldForEviction(truth: Truth, pod: KubeObject): boolean {
  const raw = checkpointNamed(truth, podOf(pod).frozenBy);
  return raw !== undefined && checkpointOf(raw).keepFrozen;
}

/** A state is complete, and nobody who leads can know that it is going: what we delete ourselves, our next leader reads. */
export function stillHolds(truth: Truth, checkpoint: string | null): boolean {
  const raw = checkpointNamed(truth, checkpoint);
  if (raw === undefined || !checkpointOf(raw).ready) return false;
  const going = truth.goingCheckpoints.get(raw.metadata.name);
  if (going === undefined) return true;
  const isRead = going.by?.startsWith('reprieve') && going.atMs < truth.leadingSinceMs;
  return going.by !== truth.holder && !isRead && truth.world.elapsedMs - going.atMs < behindMs(truth);
}

/** Its state is complete on a disk, it carries the mark, and its container stands still. */
export function isSavedAndStill(truth: Truth, pod: KubeObject, ticket: Ticket): boolean {
  if (podOf(pod).frozenBy !== ticket.checkpoint) return false;
  if (!stillHolds(truth, ticket.checkpoint)) return false;
  const machine = truth.world.machines.get(podOf(pod).nodeName ?? '');
  const container = machine?.state?.containers.get(pod.metadata.uid ?? '');
  // A machine that is dead or was started again runs nothing of it: the state is all there is.
  return container === undefined || container.state !== 'running' || container.frozenBy !== null;
}

const EVICTED_SAVED = 'a victim is evicted saved, or as its policy allows';

/** Why a pod must not be evicted unsaved: its policy demands that it be saved, and has for as long as anybody may lag behind. */
export function demandsSaving(
  truth: Truth,
  object: KubeObject,
  what: typeof EVICTED_SAVED | 'kube-scheduler evicts nobody that is to be saved',
): string | null {
  const pod = podOf(object);
  const raw = truth.world.api.list(RESOURCES.nodes).find(({ metadata }) => metadata.name === pod.nodeName);
  if (pod.startMs === null || raw === undefined) return null;
  const { startMs } = pod;
  const demand = (policies: readonly Policy[]): boolean => {
    const protection = protectionOf({ ...pod, deletionMs: null }, nodeOf(raw), policies, {});
    return (
      protection.protected &&
      protection.policy.preemption.decision === 'Always' &&
      protection.policy.preemption.onFailure === 'Refuse'
    );
  };
  const broken = `${pod.name} was evicted unsaved though its policy says Always and Refuse`;
  return unless(truth, what, demand(truth.policiesWithin(0).at(-1) ?? []) ? broken : null, {
    'a webhook that is not known to be called': () => pod.owner !== null && truth.isUnreached(behindMs(truth)),
    'a policy that demanded it only a moment ago': () => !truth.policiesWithin(behindMs(truth)).every(demand),
    'a start that was only a moment ago': () => truth.world.clock.now() - startMs < behindMs(truth),
  });
}
