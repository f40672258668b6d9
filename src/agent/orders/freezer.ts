import { FROZEN_CONDITION } from '../../domain/labels.ts';
import { podOf } from '../../kube/project/pod.ts';
import type { NodeApi, PodPatch } from '../node-api.ts';
import type { SavablePod } from './savable-pod.ts';

/** Keeps a pod and its Frozen mark in step: frozen before the mark is set, thawed after it is gone. */
export class Freezer {
  readonly #api: NodeApi;

  constructor(api: NodeApi) {
    this.#api = api;
  }

  /** The pod says itself that it stands still and is saved: that is what an eviction locks on. */
  async mark(pod: SavablePod, checkpointName: string, stop: AbortSignal): Promise<void> {
    await this.#api.patchPodLocked(
      pod.object,
      () => {
        stop.throwIfAborted();
        return {
          conditions: [{ type: FROZEN_CONDITION, status: 'True', reason: 'Checkpointed', message: checkpointName }],
          annotations: pod.annotations(),
        };
      },
      stop,
    );
  }

  /** Takes the mark of a checkpoint from a pod that runs: its node started it anew, so nobody has thawed it. */
  async unmark(pod: SavablePod, checkpointName: string, life: AbortSignal): Promise<void> {
    await this.#api.patchPodLocked(
      pod.object,
      (current) => (podOf(current).frozenBy === checkpointName ? THAWED : null),
      life,
    );
  }

  /**
   * Lets a frozen pod go on. The mark goes first, by a write that fails when the pod changed: a deletion that was decided on
   * the mark and this write exclude each other. Returns false where the pod is being deleted: it stays frozen, to be killed.
   */
  async thaw(pod: SavablePod, life: AbortSignal): Promise<boolean> {
    const fenced = await this.#api.patchPodLocked(
      pod.object,
      (current) => {
        if (current.metadata.deletionTimestamp !== undefined || pod.state !== 'frozen') return null;
        return THAWED;
      },
      life,
    );
    if (fenced === null || fenced.metadata.deletionTimestamp !== undefined) return false;
    // Killed, thawed by somebody else, or left to the next agent, while the answer was on its way.
    if (pod.state !== 'frozen' || life.aborted) return false;
    await pod.thaw();
    return true;
  }
}

const THAWED: PodPatch = {
  conditions: [{ type: FROZEN_CONDITION, status: 'False', reason: 'Thawed', message: '' }],
};
