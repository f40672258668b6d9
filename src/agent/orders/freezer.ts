import { FROZEN_CONDITION } from '../../domain/labels.ts';
import { podOf } from '../../kube/project/pod.ts';
import { sleep, type Clock } from '../../ports/clock.ts';
import type { NodeApi, PodPatch } from '../node-api.ts';
import { retryMs, untilDone } from './retry.ts';
import type { SavablePod, SavablePods } from './savable-pod.ts';

/** A thaw waits at most this long for the disk to record that the state is invalid. */
const INVALIDATE_WITHIN_MS = 1_000;

/** One that is frozen by an order, and may carry its mark. */
export interface HeldPod {
  readonly pod: SavablePod;
  /** Of the order. */
  readonly key: string;
  readonly checkpointName: string;
  /** The state must not be restored once the pod is thawed. Only a state whose request is gone is kept: etcd may have lost it. */
  readonly voidsState: boolean;
}

export interface FreezerOptions {
  readonly pods: Pick<SavablePods, 'invalidate'>;
  readonly api: NodeApi;
  readonly clock: Clock;
  /** Ends with the agent: what is frozen then is left to the next one. */
  readonly life: AbortSignal;
  readonly onError: (error: unknown) => void;
}

/** Keeps a pod and its Frozen mark in step: frozen before the mark is set, thawed after it is gone, or at `thawAt`. */
export class Freezer {
  readonly #options: FreezerOptions;
  readonly #releases = new Map<string, Promise<void>>(); // key of an order -> the thaw of its pod that is under way

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
    const { pod, key, checkpointName, voidsState } = held;
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
    else {
      if (voidsState && pod.state === 'frozen' && pod.frozenBy === key) await this.invalidate(key);
      await this.release(held);
    }
  }

  /**
   * To be called before a pod is thawed that may be marked: an eviction may have relied on its state, so the state must not be
   * restorable any more, whatever dies before the thaw is reported.
   */
  async invalidate(key: string): Promise<void> {
    const { pods, clock, life, onError } = this.#options;
    const invalid = untilDone({ clock, onError, life }, () => pods.invalidate(key));
    await Promise.race([invalid, sleep(clock, INVALIDATE_WITHIN_MS, life).catch(() => undefined)]);
  }

  /**
   * Thaws a pod without asking: one that was never marked, or whose `thawAt` has come. What fails is tried again for as long as
   * this agent lives. Whoever asks for it meanwhile waits for the same thaw: with a pause of its own it would thaw the pod once more,
   * which the order may have frozen anew by then.
   */
  release({ pod, key }: Pick<HeldPod, 'pod' | 'key'>): Promise<void> {
    const underWay = this.#releases.get(key);
    if (underWay !== undefined) return underWay;
    const release = this.#thawFirmly(pod, key).finally(() => this.#releases.delete(key));
    this.#releases.set(key, release);
    return release;
  }

  async #thawFirmly(pod: SavablePod, key: string): Promise<void> {
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
