/** What becomes of displaced pods and of their tickets where controllers change (`src/domain/owner-kinds.ts`), judged by the stored objects. */
import type { Ticket } from '../../src/domain/ticket.ts';
import { byNewestState, isFinal, isOpenAndFree } from '../../src/domain/ticket.ts';
import { RESOURCES, type ResourceType } from '../../src/kube/resources.ts';
import type { KubeObject } from '../../src/kube/transport.ts';
import { parseIndexes } from '../../src/sim/controllers/completion-index.ts';
import {
  behindMs,
  BEHIND_MS,
  deletionBegun,
  isCalm,
  isGated,
  podWith,
  seenWithinMs,
  stillHolds,
  ticketCreated,
  ticketMoved,
  tickets,
  type Invariant,
} from './evidence.ts';
import { unless } from './excuses.ts';
import { isTold, ownerOf, siblingIdentity } from './identity.ts';
import { isTerminal } from '../../src/domain/pod.ts';
import { podOf } from './parsed.ts';
import type { Truth } from './truth.ts';

/** Reprieve reads controllers every ten seconds, and believes what it read twice. */
const ENDS_WITHIN_MS = 60_000;
/** `deletionTimestamp` is when the grace period ends; the kubelet and the agent need a moment more. */
const GONE_WITHIN_MS = 30_000;
/** The longest grace period of any pod: a kubelet that comes back begins it anew. */
const GRACE_MS = 40_000;

type OwnerEnd = 'OwnerGone' | 'OwnerComplete' | 'OwnerFailed' | 'OwnerWantsFewer';

export const OWNER_INVARIANTS = {
  'a ticket ends when its owner wants no pod for it': (truth, seen) => {
    if (seen.kind !== 'second' || !isCalm(truth)) return null;
    for (const ticket of tickets(truth)) {
      const since = truth.ownerEnds.get(ticket.uid);
      if (since === undefined || truth.world.elapsedMs - since.atMs < ENDS_WITHIN_MS) continue;
      return `${ticket.name} is ${ticket.phase}, and ${since.reason} holds since ${since.atMs} ms`;
    }
    return null;
  },

  'a ticket says truly why its owner brings nobody': (truth, seen) => {
    const moved = ticketMoved(seen);
    if (moved === null || moved.after.phase !== 'Abandoned' || moved.before.phase === 'Abandoned') return null;
    const { reason } = moved.after.said;
    if (!ENDS.has(reason)) return null;
    const held = truth.ownerEndsSeen.get(`${moved.after.uid} ${reason}`) ?? -Infinity;
    if (endOf(truth, moved.before) === reason || truth.world.elapsedMs - held < behindMs(truth)) return null;
    return `${moved.after.name} is Abandoned: ${reason}, ${moved.after.said.message}`;
  },

  'no Job counts an eviction that its rules ignore': (truth, seen) => {
    const deleted = deletionBegun(seen);
    const job = deleted === null ? undefined : jobOf(truth, deleted.object);
    if (deleted === null || job === undefined || !deleted.by.startsWith('reprieve')) return null;
    const pod = podOf(deleted.object);
    if (isTerminal(pod) || pod.disrupted) return null;
    return `${deleted.by} deletes ${pod.name} of Job ${job.metadata.name}, and no DisruptionTarget says that it is not the pod's failure`;
  },

  'a Job that fails by the eviction of a saved pod was said to': (truth, seen) => {
    if (seen.kind !== 'second') return null;
    const untold = truth.failedJobs.untold(truth);
    return untold === null ? null : `Job ${untold} failed by the eviction of saved pods, and no Event said so before`;
  },

  'nobody is saved whose successor could not be told': (truth, seen) => {
    const ticket = ticketCreated(seen);
    const pod = podWith(truth, ticket?.pod.uid);
    if (ticket === null || ticket.by !== truth.holder || pod === undefined || isTold(pod)) return null;
    const labels = pod.metadata.labels ?? {};
    const names = truth
      .policiesWithin(BEHIND_MS)
      .flatMap((policies) => policies.map(({ restore }) => restore.identityLabels));
    if (names.some((keys) => keys.length > 0 && keys.every((key) => labels[key] !== undefined))) return null;
    return `${pod.metadata.name} is to be saved, and nothing will tell which pod of its controller continues it`;
  },

  'a pod that was disrupted gives its ticket back': (truth, seen) => {
    const moved = ticketMoved(seen);
    if (moved === null || isFinal(moved.before.phase) || !isFinal(moved.after.phase)) return null;
    const { claim, decide, checkpoint, name } = moved.before;
    const pod = podWith(truth, claim?.uid);
    if (pod === undefined || decide !== null || !stillHolds(truth, checkpoint)) return null;
    const { disrupted, deletionMs, restored, restoreFailure, ticket, uid } = podOf(pod);
    if (!disrupted || deletionMs === null || restored !== null || ticket !== name) return null;
    const broken = `${name} is ${moved.after.phase}, and ${pod.metadata.name} is deleted as disrupted before it was restored`;
    return unless(truth, 'a pod that was disrupted gives its ticket back', broken, {
      'a node that could not restore it, a moment before': () =>
        restoreFailure !== null && truth.world.elapsedMs - (truth.deletedMs.get(uid) ?? 0) < seenWithinMs(truth),
    });
  },

  'a ticket is Restored by a pod that was': (truth, seen) => {
    const moved = ticketMoved(seen);
    if (moved === null || moved.after.phase !== 'Restored' || moved.before.phase === 'Restored') return null;
    const { claim, name } = moved.after;
    if (claim !== null && truth.restoredPods.has(claim.uid)) return null;
    return `${name} is Restored, and no node has restored ${claim?.name ?? 'any pod for it'}`;
  },

  'the newest state of a work is continued': (truth, seen) => {
    if (seen.kind !== 'work' || seen.event.kind !== 'restored') return null;
    const pod = podWith(truth, seen.event.podUid);
    const ticket = tickets(truth).find(({ name }) => name === (pod === undefined ? null : podOf(pod).ticket));
    const saved = truth.savedPods.get(ticket?.pod.uid ?? '');
    if (ticket === undefined || saved === undefined || siblingIdentity(saved) === '') return null;
    const newer = tickets(truth).find((other) => {
      const raw = truth.savedPods.get(other.pod.uid);
      if (raw === undefined || other.phase === 'Saving' || other.creationMs <= ticket.creationMs) return false;
      return ownerOf(raw)?.uid === ownerOf(saved)?.uid && siblingIdentity(raw) === siblingIdentity(saved);
    });
    if (newer === undefined || truth.decidedByHand.has(ticket.uid)) return null;
    return `${seen.event.pod} continues ${ticket.name}, and ${newer.name} holds a newer state of the same work`;
  },

  'only controllers make pods of controllers': (_, seen) => {
    if (seen.kind !== 'write' || seen.write.kind !== RESOURCES.pods || seen.write.type !== 'ADDED') return null;
    const { object, by } = seen.write;
    const owner = ownerOf(object);
    return owner !== undefined && by?.user.startsWith('reprieve')
      ? `${by.user} created ${object.metadata.name} of ${owner.kind} ${owner.name}`
      : null;
  },

  'a pod that is being deleted goes': (truth, seen) => {
    if (seen.kind !== 'second') return null;
    const nowMs = truth.world.clock.now();
    for (const raw of truth.world.api.list(RESOURCES.pods)) {
      const { deletionTimestamp } = raw.metadata;
      if (deletionTimestamp === undefined || nowMs - Date.parse(deletionTimestamp) < GONE_WITHIN_MS) continue;
      const pod = podOf(raw);
      const machine = truth.world.machines.get(pod.nodeName ?? '');
      if (isTerminal(pod) || machine?.hasBeenWell(GRACE_MS + GONE_WITHIN_MS) !== true) continue;
      const waitsMs = nowMs - Date.parse(deletionTimestamp);
      return `${pod.name} should have gone ${waitsMs} ms ago, and ${machine.spec.name} is well`;
    }
    return null;
  },
} as const satisfies Record<string, Invariant>;

/** Once a second: since when the owner of a ticket that waits for a pod wants none for it. Nothing while its controller stands still. */
export function noteOwnerEnds(truth: Truth): void {
  const isSettled = truth.world.controllersProcess?.isWell === true;
  const waiting = tickets(truth).filter(
    (one) => isOpenAndFree(one) && (one.phase === 'Waiting' || one.phase === 'Held'),
  );
  const still = new Set<string>();
  for (const ticket of waiting) {
    const reason = endOf(truth, ticket);
    if (reason === null) continue;
    truth.ownerEndsSeen.set(`${ticket.uid} ${reason}`, truth.world.elapsedMs);
    if (!isSettled) continue;
    still.add(ticket.uid);
    if (truth.ownerEnds.get(ticket.uid)?.reason !== reason)
      truth.ownerEnds.set(ticket.uid, { reason, atMs: truth.world.elapsedMs });
  }
  for (const uid of truth.ownerEnds.keys()) if (!still.has(uid)) truth.ownerEnds.delete(uid);
}

const ENDS: ReadonlySet<string> = new Set(['OwnerGone', 'OwnerComplete', 'OwnerFailed', 'OwnerWantsFewer']);

const TYPES: readonly ResourceType[] = [
  RESOURCES.replicaSets,
  RESOURCES.replicationControllers,
  RESOURCES.statefulSets,
  RESOURCES.jobs,
];

interface OwnerSpec {
  readonly replicas?: number;
  readonly suspend?: boolean;
  readonly parallelism?: number;
  readonly completions?: number;
  readonly completionMode?: string;
}

interface OwnerStatus {
  readonly failed?: number;
  readonly succeeded?: number;
  readonly completedIndexes?: string;
  readonly conditions?: readonly { readonly type: string; readonly status: string }[];
}

/** Why the controller of a ticket makes no pod for it; null where it makes one, may make one, or is of a kind that says nothing. */
function endOf(truth: Truth, ticket: Ticket): OwnerEnd | null {
  const { owner, namespace } = ticket;
  const type = TYPES.find(({ kind, group, version }) => {
    const apiVersion = group === '' ? version : `${group}/${version}`;
    return kind === owner?.kind && apiVersion === owner.apiVersion;
  });
  if (owner === null || type === undefined) return null;
  const object = truth.world.api.list(type, namespace).find(({ metadata }) => metadata.name === owner.name);
  if (object?.metadata.uid !== owner.uid || object.metadata.deletionTimestamp !== undefined) return 'OwnerGone';
  const spec = object['spec'] as OwnerSpec;
  if (type === RESOURCES.statefulSets)
    return Number(/\d+$/.exec(ticket.pod.name)?.[0]) >= (spec.replicas ?? 1) ? 'OwnerWantsFewer' : null;
  if (type !== RESOURCES.jobs) return surplusOf(truth, ticket, spec.replicas ?? 1);
  if (isTrue(object, 'Complete') || isTrue(object, 'SuccessCriteriaMet')) return 'OwnerComplete';
  if (isTrue(object, 'Failed') || isTrue(object, 'FailureTarget')) return 'OwnerFailed';
  if (spec.suspend) return null;
  const { succeeded = 0, completedIndexes } = statusOf(object);
  if (spec.completionMode === 'Indexed') {
    const index = ticket.pod.completionIndex ?? 0;
    return index >= (spec.completions ?? 0) || parseIndexes(completedIndexes).has(index) ? 'OwnerWantsFewer' : null;
  }
  const left = spec.completions === undefined ? Infinity : spec.completions - succeeded;
  return surplusOf(truth, ticket, Math.max(0, Math.min(spec.parallelism ?? 1, left)));
}

/** Of interchangeable pods those with the newest states come back: as many as the controller lacks, or has behind the gate. */
function surplusOf(truth: Truth, ticket: Ticket, wants: number): OwnerEnd | null {
  const all = tickets(truth);
  const pods = truth.world.api.list(RESOURCES.pods).filter((pod) => ownerOf(pod)?.uid === ticket.owner?.uid);
  const active = pods.filter((pod) => pod.metadata.deletionTimestamp === undefined && !isTerminal(podOf(pod)));
  const unclaimed = active.filter(
    (pod) =>
      isGated(pod) &&
      !all.some(({ claim, phase, deleting }) => claim?.uid === pod.metadata.uid && !isFinal(phase) && !deleting),
  );
  const comes = Math.max(0, wants - active.length) + unclaimed.length;
  const rivals = all.filter(
    (other) => other.uid !== ticket.uid && other.owner?.uid === ticket.owner?.uid && isOpenAndFree(other),
  );
  const waiting = [...rivals.filter(({ phase }) => phase !== 'Saving'), ticket].sort(byNewestState);
  return waiting.indexOf(ticket) >= comes ? 'OwnerWantsFewer' : null;
}

function jobOf(truth: Truth, pod: KubeObject): KubeObject | undefined {
  const uid = ownerOf(pod)?.uid;
  return truth.world.api.list(RESOURCES.jobs).find(({ metadata }) => metadata.uid === uid);
}

function isTrue(object: KubeObject, type: string): boolean {
  return statusOf(object).conditions?.some((one) => one.type === type && one.status === 'True') ?? false;
}

function statusOf(object: KubeObject): OwnerStatus {
  return object['status'] ?? {};
}
