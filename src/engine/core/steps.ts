import type { TicketReason } from '../../domain/condition-reasons.ts';
import type { PodUid } from '../../domain/ids.ts';
import type { Displacement } from '../../domain/displacement.ts';
import type { Pod } from '../../domain/pod.ts';
import type { Ticket, TicketPhase } from '../../domain/ticket.ts';
import type { ClusterView } from '../../index/types.ts';
import type { CloseReason } from '../displace/close-reasons.ts';
import type { Command } from './commands.ts';
import type { DisplacementBook } from '../displace/displacement-book.ts';
import type { RoomMemory } from '../return/room-memory.ts';
import type { Asked } from '../guard/asked.ts';
import type { Proposal } from '../propose/proposal.ts';
import type { Rests } from '../propose/rests.ts';
import type { Queued } from '../return/queue.ts';

/** What the step functions may ask about displacements. */
export type Displacements = Pick<
  DisplacementBook,
  'get' | 'all' | 'size' | 'on' | 'isOverruled' | 'isRecorded' | 'isKnown' | 'emptiedAt' | 'refusalOf'
>;

/**
 * All that the step functions may look at. What they read of `view` and `book` decides when they are called again, so nothing
 * else in here may change without a change there, but the time: who compares it says `lookAgainAt`.
 */
export interface World {
  readonly view: ClusterView;
  readonly book: Displacements;
  readonly nowMs: number;
  /** Of a clock that nobody sets, for what is measured from a moment in this process. */
  readonly steadyMs: number;
  /** When this process began to decide and write, after it did not. Until then another one may have. */
  readonly actingSinceMs: number;
  /** Since when the watch of pods is open without a break; `nowMs` while it is broken. Pods that were created before are in view by WATCH_LAG_MS later. */
  readonly podsSinceMs: number;
  /** Pods that were in view since then and were deleted; kept for as long as `seesAll` says no. */
  readonly seen: ReadonlySet<PodUid>;
  /** Pods that were seen disrupted before they were restored (`Pod.disrupted`), also after their objects are gone. */
  readonly disrupted: { has(uid: PodUid): boolean };
  /** Displaced pod -> when its deletion was requested (`Pod.evictedMs`), as far as this process saw it. */
  readonly evicted: ReadonlyMap<PodUid, number>;
  /** Bare pods whose users deleted them while they were held or being saved, as far as this process saw it. */
  readonly unwanted: ReadonlySet<PodUid>;
  /** Uid of a ticket that another pod may claim again -> when that came, as far as this process saw it. */
  readonly freed: ReadonlyMap<string, number>;
  /** Kept by the search for capacity, and asked by nobody else. */
  readonly roomMemory: RoomMemory;
  /** Pods whose displacement failed. What is read of it changes only when a displacement of that pod is closed. */
  readonly rests: Pick<Rests, 'untilMs' | 'notSavedUntilMs'>;
  /** What the guard was asked. It puts off what a step does, or comes before the deletion of a pod: no step is called again for it. */
  readonly asked: Pick<Asked, 'lastMs' | 'mayGo'>;
  readonly settings: EngineSettings;
}

/**
 * How far the watches of different kinds may be apart. What another process wrote before it died may be seen in one kind and
 * not yet in another.
 */
export const WATCH_LAG_MS = 5_000;

/**
 * A write that an earlier leader sent may take effect for this long after the next one began: kube-apiserver gives a request up after
 * `--request-timeout`, 60 s by default.
 */
export const LATE_WRITES_MS = 60_000;

/**
 * Whether what is not in view may be taken for gone. Our own writes are in view at once; those of the process that acted
 * before us come by the watches, each at its own pace. Looks again when it may.
 */
export function seesAll({ nowMs, actingSinceMs }: World, steps: Steps): boolean {
  const sinceMs = actingSinceMs + WATCH_LAG_MS;
  if (nowMs < sinceMs) steps.lookAgainAt(sinceMs);
  return nowMs >= sinceMs;
}

/** A pod that is not in view is gone: it was seen before, or would be by now. */
export function isGone(world: World, uid: PodUid, steps: Steps): boolean {
  return world.view.pod(uid) === undefined && (world.seen.has(uid) || seesAll(world, steps));
}

/** The part of the configuration that steers the reconciler; durations in milliseconds. */
export interface EngineSettings {
  readonly maxConcurrentRestoresPerNode: number;
  /** The same work is displaced no more often where that can be helped, and rests in the queue after that. */
  readonly maxDisplacementsPerHour: number;
  /** After this a gated pod is let go, with its ticket, so that autoscalers see it. */
  readonly maxGateMs: number;
  /** The head of the queue gets a node kept free of backfill after this long. */
  readonly starvationMs: number;
  readonly ticketRetentionMs: number;
  /** A gated pod whose ticket may still become claimable is kept this long. */
  readonly claimGraceMs: number;
  /** A preemptor whose victims are gone is expected to be bound within this; then it is woken. */
  readonly bindGraceMs: number;
  /**
   * A node whose attempt failed is not chosen for the same preemptor for this long; twice as long each time, while a victim
   * stands there that may not go unsaved.
   */
  readonly retryNodeAfterMs: number;
  /** `maxDelay` where no policy states one. */
  readonly defaultMaxDelayMs: number;
}

export const DEFAULT_ENGINE_SETTINGS: EngineSettings = {
  maxConcurrentRestoresPerNode: 2,
  maxDisplacementsPerHour: 6,
  maxGateMs: 300_000,
  starvationMs: 120_000,
  ticketRetentionMs: 3_600_000,
  claimGraceMs: 5_000,
  bindGraceMs: 5_000,
  retryNodeAfterMs: 60_000,
  defaultMaxDelayMs: 60_000,
};

/** Records that cannot all be true: what a hand or a restored backup left. Metric label. */
type ContradictionKind =
  /** Tickets of two displacements about one preemptor are open. */
  | 'TwoDisplacements'
  /** A ticket names a displacement that this leader neither decided nor found when its term began. */
  | 'UnknownDisplacement'
  /** A ticket and its displacement cannot both be true. */
  | 'ImpossibleDisplacement'
  /** Two tickets claim one pod. */
  | 'TwoClaims'
  /** The victim of a ticket that says it was evicted runs, and nobody is about to evict it. */
  | 'VictimRuns'
  /** A ticket claims a pod that continues another one. */
  | 'OtherTicket'
  /** A pod continues a ticket that does not claim it. */
  | 'ClaimLost';

export interface Contradiction {
  readonly kind: ContradictionKind;
  readonly object: Ticket;
  readonly what: string;
  readonly resolution: string;
}

/** What to do now, and when to look again though nothing happens. */
export class Steps {
  readonly commands: Command[] = [];
  readonly closed: { readonly displacement: Displacement; readonly because: CloseReason; readonly message: string }[] =
    [];
  /** Displacements whose victims have all left the node. */
  readonly emptied: Displacement[] = [];
  /** Displacements that wait for replicas of the webhook to see their tickets. */
  readonly waiting: { readonly displacement: Displacement; readonly behind: readonly string[] }[] = [];
  readonly contradictions: Contradiction[] = [];
  readonly proposals: Proposal[] = [];
  /** Pods that people ask to be moved, and that stay where they are. */
  readonly staying: { readonly pod: Pod; readonly why: string }[] = [];
  /** Tickets whose pod waits for capacity, or was let go and has no node yet. */
  readonly queue: Queued[] = [];
  /** Tickets that are not moved along their phases until their contradiction is resolved. */
  readonly resolved: Ticket[] = [];
  readonly #contested: Set<string>; // uids of tickets
  wakeAtMs = Number.POSITIVE_INFINITY;

  /** `contested` is shared by the steps of one pass. */
  constructor(contested = new Set<string>()) {
    this.#contested = contested;
  }

  do(command: Command): void {
    this.commands.push(command);
  }

  close(displacement: Displacement, because: CloseReason, message: string): void {
    this.closed.push({ displacement, because, message });
  }

  move(ticket: Ticket, phase: TicketPhase, reason: TicketReason, message: string): void {
    this.do({ kind: 'SetTicketPhase', ticket, phase, reason, message });
  }

  propose(proposal: Proposal): void {
    this.proposals.push(proposal);
  }

  tellStays(pod: Pod, why: string): void {
    this.staying.push({ pod, why });
  }

  /** Until it is resolved, `contradiction.object` is not moved along its phases. */
  resolve(contradiction: Contradiction): void {
    this.contradictions.push(contradiction);
    this.resolved.push(contradiction.object);
    this.#contested.add(contradiction.object.uid);
  }

  isContested(ticket: Ticket): boolean {
    return this.#contested.has(ticket.uid);
  }

  lookAgainAt(ms: number): void {
    this.wakeAtMs = Math.min(this.wakeAtMs, ms);
  }
}
