import type { EvictionRequest } from '../../domain/displacement.ts';
import type { PodUid } from '../../domain/ids.ts';

/** May this pod go? Asked by kube-apiserver, on behalf of `requester`. */
export interface GuardRequest {
  readonly by: EvictionRequest;
  readonly namespace: string;
  readonly name: string;
  /** Of the object that would be deleted; null for an eviction that names no UID: its review does not show the pod. */
  readonly uid: PodUid | null;
  readonly requester: string;
  /** Reason of the condition `DisruptionTarget` that the pod has, or gets by the request; empty where it has none. */
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
        /** Evicted from a node that is not being drained: by whom, the index does not show. */
        | 'NotDrained'
        /** kube-apiserver itself refuses the eviction, by its PodDisruptionBudgets. */
        | 'BudgetForbids'
        /** A Service sends it traffic, and its policy leaves such pods to Kubernetes. */
        | 'Serving'
        /** `decision: Adaptive` lets it go. */
        | 'SavingCostsMore'
        /** Its policy lets it go unsaved. */
        | 'SavingFailed'
        | 'Saved';
      /** Why a pod that a policy selects goes without its state, as the end of a sentence; absent where it is not told here. */
      readonly unsaved?: string;
    }
  | {
      readonly allowed: false;
      readonly reason:
        'Unsynced' | 'NoLeader' | 'NotSeenYet' | 'Paused' | 'BudgetForbids' | 'Queued' | 'Saving' | 'SavingFailed';
      readonly message: string;
      /** 0: the client is not told when. */
      readonly retryAfterSeconds: number;
    }
  /** The pod that was asked for is gone, and the request would hit another one of its name: 404. */
  | {
      readonly allowed: false;
      readonly reason: 'Replaced';
      readonly message: string;
      readonly retryAfterSeconds: null;
    };
