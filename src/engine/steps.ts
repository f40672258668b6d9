import type { TicketReason } from '../domain/condition-reasons.ts';
import type { PodUid } from '../domain/ids.ts';
import type { Decision, Ticket, TicketPhase } from '../domain/ticket.ts';
import type { ClusterView } from '../index/types.ts';
import type { CloseReason } from './close-reasons.ts';
import type { Command } from './commands.ts';
import type { DecisionBook } from './decision-book.ts';
import type { Queued } from './queue.ts';

/** What the step functions may ask about decisions. */
export type Decisions = Pick<DecisionBook, 'get' | 'all' | 'on' | 'isOverruled' | 'emptiedAt'>;

/**
 * All that the step functions may look at. What they read of `view` and `book` decides when they are called again, so nothing
 * else in here may change without a change there, but the time: who compares it says `lookAgainAt`.
 */
export interface World {
  readonly view: ClusterView;
  readonly book: Decisions;
  readonly nowMs: number;
  /** Of a clock that nobody sets, for what is measured from a moment in this process. */
  readonly steadyMs: number;
  /** When this process began to decide and write, after it did not. Until then another one may have. */
  readonly actingSinceMs: number;
  /** Pods that were in view since then and were deleted; kept for as long as `seesAll` says no. */
  readonly seen: ReadonlySet<PodUid>;
  /** Pods that were seen preempted before they were restored, also after their objects are gone. */
  readonly preempted: ReadonlySet<PodUid>;
  /** Uid of a ticket that another pod may claim again -> when that came, as far as this process saw it. */
  readonly freed: ReadonlyMap<string, number>;
  readonly settings: EngineSettings;
}

/**
 * How far the watches of different kinds may be apart. What another process wrote before it died may be seen in one kind and
 * not yet in another.
 */
export const WATCH_LAG_MS = 5_000;

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
  /** Tickets of two decisions about one preemptor are open. */
  | 'TwoDecisions'
  /** A ticket and its decision cannot both be true. */
  | 'ImpossibleDecision'
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
  readonly closed: { readonly decision: Decision; readonly because: CloseReason; readonly message: string }[] = [];
  /** Decisions whose victims have all left the node. */
  readonly emptied: Decision[] = [];
  readonly contradictions: Contradiction[] = [];
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

  close(decision: Decision, because: CloseReason, message: string): void {
    this.closed.push({ decision, because, message });
  }

  move(ticket: Ticket, phase: TicketPhase, reason: TicketReason, message: string): void {
    this.do({ kind: 'SetTicketPhase', ticket, phase, reason, message });
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
