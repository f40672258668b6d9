import type { Ticket } from '../domain/ticket.ts';
import type { CostModel } from '../domain/victim-cost.ts';
import type { ClusterView, IndexListener } from '../index/types.ts';
import type { Clock } from '../ports/clock.ts';
import type { Leadership } from '../ports/leadership.ts';
import type { ClusterWriter, Refusal } from '../ports/cluster-writer.ts';
import type { EngineSettings } from './core/steps.ts';
import type { AdmissionOptions } from './return/admission.ts';

/** What the engine stands on: the index, its ports, and how it is configured. */
export interface EngineOptions {
  /** The live index. `onChange` tells when to look again. */
  readonly view: ClusterView & { onChange(listener: IndexListener): () => void };
  readonly writer: ClusterWriter;
  readonly clock: Clock;
  readonly settings: EngineSettings;
  readonly costs: CostModel;
  readonly onUnsynced: 'Hold' | 'PassThrough';
  /** The index holds everything the API server had. */
  readonly isSynced: () => boolean;
  /** Since when the watch of pods is open without a break, on the monotonic clock; null while it is broken or everything is listed. */
  readonly podsWatchedSinceMs: () => number | null;
  readonly leadership: Leadership;
  /** The index holds each ticket whose victim may have been evicted. Asked for each review, and right at that moment. */
  readonly knowsTickets: () => boolean;
  /** Tickets of an owner, straight from the API server: for reviews while {@link knowsTickets} says no. */
  readonly readTickets: (namespace: string, ownerUid: string | null) => Promise<readonly Ticket[]>;
  /** Distinguishes the displacement ids of two processes that decide in the same millisecond. Lower-case letters and digits. */
  readonly instanceId: string;
  /** Tells a write that the API server will refuse again from one that may succeed when it is repeated. */
  readonly probePod: AdmissionOptions['probePod'];
  readonly refusalOf: (error: unknown) => Refusal | null;
  readonly onListenerError: (error: unknown) => void;
}
