import type { CheckpointRules } from '../../domain/checkpoint-rules.ts';
import type { ConditionReason } from '../../domain/condition-reasons.ts';
import type { PodUid } from '../../domain/ids.ts';
import type { PodCheckpointStatus } from '../../kube/crd/pod-checkpoint.ts';
import type { KubeObject } from '../../kube/transport.ts';
import type { Turns } from '../turns.ts';

/** Why a pod was not saved. It runs on. */
export interface SaveFailure {
  readonly reason: ConditionReason<'PodCheckpoint', 'Failed'>;
  readonly message: string;
}

/** What was saved, as it stands in the status of its PodCheckpoint. */
export type SavedParts = Required<Pick<PodCheckpointStatus, 'containers' | 'bytes' | 'manifestDigest'>>;

/** What a pod is frozen for. */
export interface HoldTerms {
  /** Key of the order. */
  readonly key: string;
  /** When it is thawed, whatever happens: one moment, on two clocks. */
  readonly thawAt: {
    /** Of the API server. */
    readonly serverMs: number;
    /** Of this machine since it was booted: `Clock.monotonic` of every process on it. */
    readonly monotonicMs: number;
  };
  /** It stays frozen after it was saved, and is marked; otherwise it is thawed at once. */
  readonly keepFrozen: boolean;
}

/** A pod that is frozen. */
export interface Hold extends HoldTerms {
  /** Its state is whole on the disk. */
  readonly isSaved: boolean;
}

/** How far a dump is. */
export interface DumpProgress {
  readonly writtenBytes: number;
  /** An estimate. */
  readonly expectedBytes: number;
}

export type Dump = { readonly failure: SaveFailure } | { readonly failure: null; readonly saved: SavedParts };

/**
 * The processes of one pod on this node, as the agent freezes and saves them.
 *
 *     starting ──> running <──> frozen
 *        │            │            │
 *        │            v            │
 *        │       terminating       │
 *        └────────────┴────────────┴──> ended
 */
export interface SavablePod {
  /** The newest version of its object. */
  readonly object: KubeObject;
  readonly state: 'starting' | 'running' | 'frozen' | 'terminating' | 'ended';
  /** Key of the order by which it stands frozen, until it goes on or is dead: for a moment, one that `ended` has. Null: of none. */
  readonly frozenBy: string | null;
  /** How long it may stand still before a liveness probe has it killed; null: for as long as it takes. */
  readonly longestFreezeMs: number | null;
  /** Aborted when its processes have ended, or are about to: it is being deleted, and nothing is to be saved or held any more. */
  readonly ended: AbortSignal;
  /** Null where it is not frozen. */
  readonly hold: Hold | null;
  /** Stops all its processes, all or none. Rejects with the reason of `stop`. */
  freeze(terms: HoldTerms, stop: AbortSignal): Promise<SaveFailure | null>;
  /** Lets them go on. Nothing happens where they do not stand frozen. Where it rejects, they may: it is to be called again. */
  thaw(): Promise<void>;
  /** The API server has said that the pod is being deleted, which its watch may not have brought yet. */
  deletionSeen(object: KubeObject): void;
  /** Writes the state of the frozen pod to the node's disk under `key`, and reads it back. Rejects with the reason of `stop`. */
  dump(key: string, rules: CheckpointRules, stop: AbortSignal): Promise<Dump>;
  /** How far the dump under `key` is; null before the first byte, and when it has ended. */
  progress(key: string): Promise<DumpProgress | null>;
  /** Annotations that are written along with the Frozen mark. */
  annotations(): Readonly<Record<string, string>>;
}

/** The pods of a node and the states saved on it: real ones (`src/agent/pods`) or simulated ones (`src/sim/nodes`). */
export interface SavablePods {
  /** The disk takes a few dumps at a time. A pod is frozen when its turn has come, and runs until then. */
  readonly disk: Turns;
  find(uid: PodUid): SavablePod | undefined;
  all(): Iterable<SavablePod>;
  /** Keys of the states that earlier processes of the agent have left on the disk, whole or not. */
  references(): readonly string[];
  /** Since when nobody knows what a state is for: this moment, where it was known until now. Null for one that is not whole. */
  unknownSince(reference: string, nowMs: number): Promise<number | null>;
  /** It is known what the state is for. */
  known(reference: string): Promise<void>;
  /** Removes a state; nothing happens where there is none. */
  forget(reference: string): Promise<void>;
  /** Settles when it is known whether an earlier process of the agent left a pod frozen for this state; null: it is known. */
  lookedAt(reference: string): Promise<unknown> | null;
  /** Its pod goes on: nothing is restored from this state any more. Holds also after a crash. */
  invalidate(reference: string): Promise<void>;
  /** The state is whole, and was not invalidated. */
  isValid(reference: string): Promise<boolean>;
}
