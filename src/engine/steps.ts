import type { Decision } from '../domain/ticket.ts';
import type { ClusterView } from '../index/types.ts';
import type { CloseReason } from './close-reasons.ts';
import type { Command } from './commands.ts';
import type { DecisionBook } from './decision-book.ts';

/** All that `nextSteps` may look at. */
export interface World {
  readonly view: ClusterView;
  readonly book: DecisionBook;
  readonly nowMs: number;
  readonly settings: EngineSettings;
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
  /** A node whose attempt failed is not chosen for the same preemptor for this long. */
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

/** What to do now, and when to look again though nothing happens. */
export class Steps {
  readonly commands: Command[] = [];
  readonly closed: { readonly decision: Decision; readonly because: CloseReason; readonly message: string }[] = [];
  /** Decisions whose victims have all left the node. */
  readonly emptied: Decision[] = [];
  wakeAtMs = Number.POSITIVE_INFINITY;

  do(command: Command): void {
    this.commands.push(command);
  }

  close(decision: Decision, because: CloseReason, message: string): void {
    this.closed.push({ decision, because, message });
  }

  lookAgainAt(ms: number): void {
    this.wakeAtMs = Math.min(this.wakeAtMs, ms);
  }
}
