import { FROZEN_CONDITION } from '../../domain/labels.ts';
import { podOf } from '../../kube/project/pod.ts';
import { sleep, type Clock } from '../../ports/clock.ts';
import type { NodeApi, PodPatch } from '../node-api.ts';
import { retryMs } from './retry.ts';
import type { SavablePod } from './savable-pod.ts';

/** One that is frozen by an order, and may carry its mark. */
export interface HeldPod {
  readonly pod: SavablePod;
  /** Of the order. */
  readonly key: string;
  readonly checkpointName: string;
}

export interface FreezerOptions {
  readonly api: NodeApi;
  readonly clock: Clock;
  /** Ends with the agent: what is frozen then is left to the next one. */
  readonly life: AbortSignal;
  readonly onError: (error: unknown) => void;
}

/** Keeps a pod and its Frozen mark in step: frozen before the mark is set, thawed after it is gone, or at `thawAt`. */
export class Freezer {
  readonly #options: FreezerOptions;

  constructor(options: FreezerOptions) {
    this.#options = options;
  }

  /** The pod says itself that it is frozen and saved: an eviction relies on that. */
  async mark(pod: SavablePod, checkpointName: string, stop: AbortSignal): Promise<void> {
    await this.#options.api.patchPodLocked(
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
  async unmark(pod: SavablePod, checkpointName: string): Promise<void> {
    const { api, life } = this.#options;
    await api.patchPodLocked(
      pod.object,
      (current) => (podOf(current).frozenBy === checkpointName ? THAWED : null),
      life,
    );
  }

  /**
   * Thaws a pod that may carry the mark. The mark goes first, by a write that fails when the pod changed: a deletion that was
   * decided on the mark and this write exclude each other. A pod that is being deleted stays frozen, to be killed. Where the pod
   * was thawed while this waited, since `thawAt` came, the mark goes all the same, and so does one that is still on its way.
   */
  async thaw(held: HeldPod): Promise<void> {
    const { api, life } = this.#options;
    const { pod, key, checkpointName } = held;
    const fenced = await api.patchPodLocked(
      pod.object,
      (current) => {
        if (current.metadata.deletionTimestamp !== undefined) {
          pod.deletionSeen(current);
          return null;
        }
        // Thawed meanwhile, and frozen again by another order, whose mark this is.
        const { frozenBy } = podOf(current);
        const isOthers = pod.frozenBy !== key && frozenBy !== null && frozenBy !== checkpointName;
        return pod.state === 'ended' || isOthers ? null : THAWED;
      },
      life,
    );
    if (fenced === null) return;
    if (fenced.metadata.deletionTimestamp !== undefined) pod.deletionSeen(fenced);
    else await this.release(held);
  }

  /**
   * Thaws a pod without asking: one that was never marked, or whose `thawAt` has come. What fails is tried again for as long as
   * this agent lives.
   */
  async release({ pod, key }: Pick<HeldPod, 'pod' | 'key'>): Promise<void> {
    const { clock, life, onError } = this.#options;
    for (let failures = 1; pod.state === 'frozen' && pod.frozenBy === key && !life.aborted; failures++) {
      try {
        await pod.thaw();
      } catch (error) {
        onError(error);
        await sleep(clock, retryMs(failures), life).catch(() => undefined);
      }
    }
  }
}

const THAWED: PodPatch = {
  conditions: [{ type: FROZEN_CONDITION, status: 'False', reason: 'Thawed', message: '' }],
};
