import type { PodUid } from '../../domain/ids.ts';

/** May this pod be deleted? Asked by kube-apiserver, on behalf of `requester`. */
export interface GuardRequest {
  readonly namespace: string;
  readonly name: string;
  /** Of the object that would be deleted. */
  readonly uid: PodUid;
  readonly requester: string;
  /** Reason of its condition `DisruptionTarget`; empty where it has none. */
  readonly why: string;
  /** It is terminating already, or would go at once (grace period 0): there is nothing left to save. */
  readonly isEnding: boolean;
  readonly dryRun: boolean;
}

export type GuardVerdict =
  | {
      readonly allowed: true;
      readonly reason:
        | 'DryRun'
        | 'Ending'
        | 'NotRunning'
        | 'NotProtected'
        /** `decision: Adaptive` lets it go. */
        | 'SavingCostsMore'
        /** Its policy lets it go unsaved. */
        | 'SavingFailed'
        | 'Saved';
    }
  | {
      readonly allowed: false;
      readonly reason: 'Unsynced' | 'NoLeader' | 'NotDisrupted' | 'Saving' | 'SavingFailed';
      readonly message: string;
      readonly retryAfterSeconds: number;
    };
