import type { CheckpointRules } from '../../domain/checkpoint-rules.ts';
import type { Dump, DumpProgress, SaveFailure } from '../orders/savable-pod.ts';

/** One container of a pod as the runtime of the node knows it; its sandbox is none. */
export interface PodContainer {
  readonly id: string;
  readonly name: string;
  readonly status: 'running' | 'paused' | 'other';
}

export interface PodIdentity {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

export interface DumpRequest {
  readonly pod: PodIdentity;
  /** Of the order. */
  readonly key: string;
  /** Ids of all that were frozen: without one of them, the state is not that of the pod. */
  readonly containers: readonly string[];
  readonly rules: CheckpointRules;
  /** By which a later process of the agent recognises what still works on it. */
  readonly token: string;
  /** A dump that would take longer is not begun; null: it may take as long as it does. */
  readonly longestFreezeMs: number | null;
}

/** What can be done to the processes of pods on this node. The runtime does it for real, tests without. */
export interface PodProcesses {
  /**
   * Resolves when no dump of that token is under way: a dump outlives the agent that began it, and as long as criu writes, the
   * runtime says of a frozen container that it runs. Whoever froze it then would stop criu's own code in it.
   */
  undisturbed(token: string): Promise<void>;
  /** Every container of the pod that has one, ended ones included. */
  containers(podUid: string): Promise<readonly PodContainer[]>;
  /** What makes them impossible to save; null: nothing that can be seen from outside. */
  obstacle(podUid: string): Promise<SaveFailure | null>;
  /** Freezes all processes of these containers within a moment; a frozen one stays as it is. */
  pause(ids: readonly string[]): Promise<void>;
  /** Lets those of one container go on. */
  resume(id: string): Promise<void>;
  /** Ends a container at once, frozen or not; one that is gone is fine. */
  kill(id: string): Promise<void>;
  /** Writes the state of a pod whose containers are paused, and reads it back. Rejects with the reason of `stop`. */
  dump(request: DumpRequest, stop: AbortSignal): Promise<Dump>;
  /** See `SavablePod`. */
  progress(key: string): Promise<DumpProgress | null>;
}
