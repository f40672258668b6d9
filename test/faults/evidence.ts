/** What the invariants look up and ask of what is true. */
import { RESTORE_GATE } from '../../src/domain/labels.ts';
import { isTerminal } from '../../src/domain/pod.ts';
import { protectionOf, rulingPolicy } from '../../src/domain/protection.ts';
import type { Policy } from '../../src/domain/policy.ts';
import type { PodUid } from '../../src/domain/ids.ts';
import type { Displacement, DisplacedPod } from '../../src/domain/displacement.ts';
import { makesWay, isFinal, type Ticket } from '../../src/domain/ticket.ts';
import type { Checkpoint } from '../../src/domain/checkpoint.ts';
import { lastEvictionMs } from '../../src/domain/thaw-rule.ts';
import type { CloseReason } from '../../src/engine/displace/close-reasons.ts';
import { DEFAULT_ENGINE_SETTINGS } from '../../src/engine/core/steps.ts';
import type { checkpointRulesIn } from '../../src/kube/checkpoint-object.ts';
import type { ReprieveSpec } from '../../src/kube/crd/reprieve.ts';
import { conditionOf, type WireCondition } from '../../src/kube/project/conditions.ts';
import { pathOf, RESOURCES } from '../../src/kube/resources.ts';
import type { KubeObject, KubeRequest } from '../../src/kube/transport.ts';
import type { ServerWrite } from '../../src/sim/api-server/server-options.ts';
import type { WorkEvent } from '../../src/sim/nodes/work-ledger.ts';
import { checkpointOf, nodeOf, podOf, ticketOf } from './parsed.ts';
import { unless } from './excuses.ts';
import type { Truth } from './truth.ts';

/** One thing that happened, to be judged. */
export type Seen =
  | { readonly kind: 'write'; readonly write: ServerWrite }
  | { readonly kind: 'work'; readonly event: WorkEvent }
  | { readonly kind: 'sent'; readonly process: string; readonly request: KubeRequest }
  | {
      readonly kind: 'answer';
      readonly by: string;
      readonly verb: string;
      readonly body: string;
      readonly answer: { readonly status: number; readonly body: string };
    }
  | { readonly kind: 'opened'; readonly by: string; readonly displacement: Displacement }
  | { readonly kind: 'closed'; readonly by: string; readonly displacement: Displacement; readonly because: CloseReason }
  /** The webhook let a pod pass that these tickets wait for. */
  | { readonly kind: 'passed'; readonly pod: KubeObject; readonly tickets: readonly Ticket[] }
  | { readonly kind: 'second' };

/** A write of a ticket, before and after. */
interface Moved {
  readonly before: Ticket;
  readonly after: Ticket;
}

/** Null, or how it was broken. */
export type Invariant = (truth: Truth, seen: Seen) => string | null;

/** What Reprieve and kube-scheduler may not know yet: their watches lag, and a request may be slow on its way. */
export const BEHIND_MS = 50_000;
/** The same while nothing stands against their requests. */
export const WELL_BEHIND_MS = 10_000;

/** Until then all victims must be saved before one goes. A policy that allows less time by now ends the wait sooner. */
export function waitEndsMs(truth: Truth, { displacement }: Ticket): number {
  const planned = displacement.pods.flatMap(({ terms }) => (terms === null ? [] : [terms.maxDelayMs]));
  const present = truth
    .policiesWithin(BEHIND_MS)
    .flatMap((policies) => policies.map(({ preemption }) => preemption.maxDelayMs));
  const sooner = Math.max(0, Math.min(...planned) - Math.min(...present, ...planned));
  return displacement.deadlineMs - sooner - BEHIND_MS;
}

/** Until then every replica of the webhook must know the tickets of a displacement before one of its victims goes. */
export function barrierEndMs(truth: Truth, ticket: Ticket): number {
  const thawsMs = tickets(truth)
    .filter(({ displacement }) => displacement.id === ticket.displacement.id)
    .flatMap(({ checkpoint }) => {
      const raw = checkpointNamed(truth, checkpoint);
      return raw === undefined ? [] : [checkpointOf(raw).thawAtMs ?? Infinity];
    });
  return Math.min(waitEndsMs(truth, ticket) + BEHIND_MS, ...thawsMs.map((ms) => lastEvictionMs(ms) - 3_000));
}

export function behindMs({ world }: Truth): number {
  return world.clock.now() - world.unwellMs < BEHIND_MS ? BEHIND_MS : WELL_BEHIND_MS;
}

/** For as long as anybody may be behind, everybody has been well and the same one has led. */
export function isCalm({ world, leadingSinceMs }: Truth): boolean {
  return world.clock.now() - Math.max(world.unwellMs, world.startMs + leadingSinceMs) >= BEHIND_MS;
}

/** A pod whose deletion begins, as it was before, and who deletes it. */
export interface Evicted {
  readonly by: string;
  readonly uid: string;
  readonly name: string;
  readonly object: KubeObject;
}

/** The moment in which a pod begins to be deleted, and who did it. */
export function deletionBegun(seen: Seen): Evicted | null {
  if (seen.kind !== 'write' || seen.write.kind !== RESOURCES.pods) return null;
  const { object, previous, by, type } = seen.write;
  if (previous === null || previous.metadata.deletionTimestamp !== undefined || by === null) return null;
  if (type !== 'DELETED' && object.metadata.deletionTimestamp === undefined) return null;
  return { by: by.user, uid: previous.metadata.uid ?? '', name: previous.metadata.name, object: previous };
}

/** The rules of a checkpoint as the ticket says that ordered it, whatever our own reading of it is. Null: none did. */
export function recordedRules({ world }: Truth, name: string): ReturnType<typeof checkpointRulesIn> | null {
  for (const ticket of world.api.list(RESOURCES.reprieves)) {
    const { displacement } = ticket['spec'] as Pick<ReprieveSpec, 'displacement'>;
    const rules = displacement?.pods.find(({ checkpoint }) => checkpoint === name)?.terms?.checkpoint;
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

/** The moment in which an agent first says that a checkpoint has failed, and why. */
export function failureSent(
  truth: Truth,
  seen: Seen,
): { readonly checkpoint: Checkpoint; readonly reason: string } | null {
  if (seen.kind !== 'sent' || seen.request.method !== 'PATCH') return null;
  const { conditions } = (seen.request.body as { readonly status?: RawStatus }).status ?? {};
  const failed = conditionOf(conditions, 'Failed');
  if (failed?.status !== 'True') return null;
  const raw = truth.world.api.list(RESOURCES.podCheckpoints).find(({ metadata: { namespace, name } }) => {
    return seen.request.path === pathOf(RESOURCES.podCheckpoints, namespace, name, 'status');
  });
  if (raw === undefined || truth.failuresSent.has(raw.metadata.uid ?? '')) return null;
  truth.failuresSent.add(raw.metadata.uid ?? '');
  return { checkpoint: checkpointOf(raw), reason: failed.reason ?? '' };
}

/** The moment in which a checkpoint begins to be undone, by its release or by a deletion without one, and by whom. */
export function checkpointUndoingBegun(seen: Seen): { readonly by: string; readonly checkpoint: Checkpoint } | null {
  if (seen.kind !== 'write' || seen.write.kind !== RESOURCES.podCheckpoints || seen.write.previous === null)
    return null;
  const { object, previous, by } = seen.write;
  if (checkpointOf(previous).release !== null) return null;
  const isReleased = checkpointOf(object).release !== null && by !== null;
  return isReleased ? { by: by.user, checkpoint: checkpointOf(previous) } : checkpointDeletionBegun(seen);
}

/** At that time, the ticket has been kept for as long as the settings say. */
export function isKeptLongEnough(truth: Truth, ticket: Ticket, nowMs: number): boolean {
  return nowMs >= ticket.phaseMs + retentionMs(truth);
}

function retentionMs({ world }: Truth): number {
  return world.plan.settings.ticketRetentionMs ?? DEFAULT_ENGINE_SETTINGS.ticketRetentionMs;
}

interface RawStatus {
  readonly conditions?: readonly WireCondition[];
}

/** The same for pods that go to make room: not one that was never restored, and is replaced. */
export function evictionBegun(truth: Truth, seen: Seen): Evicted | null {
  const victim = deletionBegun(seen);
  return victim === null || isReplaced(truth, victim) ? null : victim;
}

/** The same for one that its policy would have saved for as long as anybody may lag behind, and that goes without its state. */
export function isEvictedProtected(truth: Truth, seen: Seen): Evicted | null {
  const victim = evictionBegun(truth, seen);
  if (victim === null || !(victim.by.startsWith('reprieve') || victim.by.startsWith('scheduler'))) return null;
  const pod = podOf(victim.object);
  const ticket = ticketOfVictim(truth, victim.uid);
  const planned = ticket?.displacement.pods.find(({ uid }) => uid === victim.uid);
  if (pod.startMs === null || truth.world.clock.now() - pod.startMs < behindMs(truth)) return null;
  if (ticket !== undefined && isSavedAndStill(truth, victim.object, ticket)) return null;
  if (planned?.plan === 'Reuse' && stillHolds(truth, planned.checkpoint)) return null;
  if ((pod.owner !== null && truth.isUnreached(behindMs(truth))) || truth.isClassMissing(behindMs(truth))) return null;
  // Not protected when that was decided. That its agent is back may be known before the eviction is seen.
  if (truth.holder !== null && pod.nodeName !== null && truth.takesForSilent(truth.holder, pod.nodeName)) return null;
  return isProtectedFor(truth, victim.object, behindMs(truth)) ? victim : null;
}

/** All policies of the last `ms` would have this pod saved, which may be going by now, where it is. */
export function isProtectedFor(truth: Truth, object: KubeObject, ms: number): boolean {
  const pod = podOf(object);
  const raw = truth.world.api.list(RESOURCES.nodes).find(({ metadata }) => metadata.name === pod.nodeName);
  const policies = raw === undefined ? [] : truth.policiesWithin(ms);
  return (
    policies.length > 0 &&
    policies.every((list) => protectionOf({ ...pod, deletionMs: null }, raw && nodeOf(raw), list, {}).protected)
  );
}

/**
 * Its restore failed, and its ticket goes on without it. Where that ticket has ended before, the pod has started cold, and goes as
 * any other pod, unless the request was under way for so long: what the pod was marked for stands on it.
 */
export function isReplaced(truth: Truth, { uid, object }: Evicted): boolean {
  const marked = conditionOf((object['status'] as RawStatus | undefined)?.conditions, 'DisruptionTarget');
  if (marked?.status === 'True' && marked.reason === 'RestoreFailed') return true;
  return tickets(truth).some(
    (ticket) => !isFinal(ticket.phase) && ticket.claim?.uid !== uid && makesWay(ticket, uid as PodUid),
  );
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

/** What is left of an earlier displacement does not say for whom, or on what terms, its victim goes now. */
export function isBeingUndone(truth: Truth, { checkpoint }: Ticket): boolean {
  const raw = checkpointNamed(truth, checkpoint);
  return raw !== undefined && (checkpointOf(raw).deleting || checkpointOf(raw).release !== null);
}

/** What other displacements than that of its ticket, for which this process may evict it, have planned for a victim. */
export function otherPlans(
  truth: Truth,
  { by, uid }: { readonly by: string; readonly uid: string },
  { displacement: own }: Ticket,
): readonly DisplacedPod[] {
  // Those of earlier leaders are known by their tickets alone.
  const adopted = tickets(truth).filter(({ phase }) => !isFinal(phase));
  return [...truth.displacementsOf(by, behindMs(truth)), ...adopted.map(({ displacement }) => displacement)]
    .filter(({ id }) => id !== own.id)
    .flatMap(({ pods }) => pods.filter((victim) => victim.uid === uid));
}

/** Why a victim must not be deleted unsaved that was planned for like this. */
export function whyNotUnsaved(truth: Truth, object: KubeObject, { plan, onFailure }: DisplacedPod): string | null {
  if (plan === 'Evict') return demandsSaving(truth, object, EVICTED_SAVED);
  const pod = podOf(object);
  if (onFailure === 'Refuse') return `${pod.name} was to be spared, and was deleted unsaved`;
  const refuses = (policies: readonly Policy[]): boolean => {
    const policy = rulingPolicy(pod, policies, {});
    return policy?.preemption.onFailure === 'Refuse' && policy.preemption.decision !== 'Never';
  };
  const broken = `${pod.name} was deleted unsaved though its policy refuses that`;
  return unless(truth, EVICTED_SAVED, refuses(truth.policiesWithin(0).at(-1) ?? []) ? broken : null, {
    'a webhook that is not known to be called': () => pod.owner !== null && truth.isUnreached(behindMs(truth)),
    'a RuntimeClass that is missing': () => truth.isClassMissing(behindMs(truth)),
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
    'a RuntimeClass that is missing': () => truth.isClassMissing(behindMs(truth)),
    'a policy that demanded it only a moment ago': () => !truth.policiesWithin(behindMs(truth)).every(demand),
    'a start that was only a moment ago': () => truth.world.clock.now() - startMs < behindMs(truth),
  });
}

export function ticketMoved(seen: Seen): Moved | null {
  if (seen.kind !== 'write' || seen.write.kind !== RESOURCES.reprieves || seen.write.type !== 'MODIFIED') return null;
  return { before: ticketOf(seen.write.previous as KubeObject), after: ticketOf(seen.write.object) };
}

/** Until when Reprieve has seen what was written, by its watch. */
export function seenWithinMs({ world }: Truth): number {
  return world.clock.now() - world.unwellMs < BEHIND_MS ? BEHIND_MS : world.plan.lagMs + world.plan.latencyMs + 1_000;
}
