import type { CheckpointRules } from '../../domain/checkpoint-rules.ts';
import type { KubeObject } from '../../kube/transport.ts';
import type { Dump, DumpProgress, SaveFailure } from '../orders/savable-pod.ts';
import type { Obstacle } from '../pods/obstacle-watch.ts';
import type { PodIdentity } from '../pods/pod-processes.ts';

/**
 * What becomes of a pod that is saved:
 *
 *     StaysFrozen   the agent freezes the containers ──> save ──> they are as frozen as before, until the agent thaws or kills them
 *     RunsOn        the containers run ──> save, which stops them for as long as it must ──> they run
 *
 * A pod may be evicted on the strength of a save only under `StaysFrozen`: after `RunsOn` it has done work that the state lacks.
 */
export type Guarantee = 'StaysFrozen' | 'RunsOn';

export interface SaveRequest {
  readonly pod: PodIdentity;
  /** Of the order; the state is kept under it. */
  readonly key: string;
  /** Ids of the containers to save, in the order in which the kubelet makes them. Without one of them, the state is not that of the pod. */
  readonly containers: readonly string[];
  readonly rules: CheckpointRules;
  /** By which a later process of the agent recognises what still works on it. */
  readonly token: string;
  /** A save that would take longer is not begun; null: it may take as long as it does. */
  readonly longestFreezeMs: number | null;
}

/**
 * A backend: what can save the pods of this node, and how it leaves them. It writes into a {@link StateStore}, which says where the
 * state lies. `test/conformance/checkpointer.test.ts` holds every backend to this page.
 */
export interface Checkpointer {
  readonly guarantee: Guarantee;
  /** Measured in the saves so far, for the Node object; null before one that tells. */
  readonly bytesPerSecond: number | null;
  /** What makes a pod impossible to save, seen before it is frozen; null: nothing that can be seen from outside. */
  obstacle(pod: KubeObject): Promise<SaveFailure | null>;
  /** The same by these rules and in the words of the pod's condition, of what lasts: asked of many pods in a row, again and again. */
  lastingObstacle(pod: KubeObject, rules: CheckpointRules): Promise<Obstacle | null>;
  /** About what a save would write now; null where nothing of the pod runs. */
  stateBytes(podUid: string): Promise<number | null>;
  /**
   * Saves a pod and has its state committed. A failure, and a rejection, leave no whole state and the containers as
   * {@link guarantee} says. Rejects with the reason of `stop`, after everything that was begun has ended.
   */
  save(request: SaveRequest, stop: AbortSignal): Promise<Dump>;
  /** How far the save under `key` is; null before the first byte, and when it has ended. */
  progress(key: string): Promise<DumpProgress | null>;
  /**
   * Resolves when no save of that token is under way: one outlives the agent that began it, and as long as it works, the runtime
   * may say of a frozen container that it runs.
   */
  undisturbed(token: string): Promise<void>;
}
