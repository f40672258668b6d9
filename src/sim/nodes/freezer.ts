import { FROZEN_CONDITION } from '../../domain/labels.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Container } from './container.ts';
import type { NodeApi } from './node-api.ts';
import type { SimulatedNode } from './simulated-node.ts';
import { workEvent, type WorkLedger } from './work-ledger.ts';
import { PROGRESS_ANNOTATION, rounded } from './workload.ts';

export interface FreezerOptions {
  readonly node: SimulatedNode;
  readonly api: NodeApi;
  readonly clock: Clock;
  readonly ledger: WorkLedger;
  /** The kubelet's timers follow what the agent does to a container. */
  readonly onFrozen: (container: Container) => void;
  readonly onThawed: (container: Container) => void;
}

/** Keeps a container and the Frozen mark of its pod in step: frozen before the mark is set, thawed after it is gone. */
export class Freezer {
  readonly #options: FreezerOptions;

  constructor(options: FreezerOptions) {
    this.#options = options;
  }

  freeze(container: Container, key: string): void {
    const { clock, ledger, onFrozen } = this.#options;
    container.freeze(key);
    onFrozen(container);
    ledger.record(workEvent('frozen', container, clock.now()));
  }

  /** The pod says itself that it stands still and is saved: that is what an eviction locks on. */
  async mark(container: Container, checkpointName: string, stop: AbortSignal): Promise<void> {
    await this.#options.api.patchPodLocked(
      container.pod,
      () => {
        stop.throwIfAborted();
        return {
          conditions: [{ type: FROZEN_CONDITION, status: 'True', reason: 'Checkpointed', message: checkpointName }],
          annotations: { [PROGRESS_ANNOTATION]: String(rounded(container.progressSeconds)) },
        };
      },
      stop,
    );
  }

  /**
   * Lets a frozen container go on. The mark goes first, by a write that fails when the pod changed: a deletion that was
   * decided on the mark and this write exclude each other. Returns false where the pod is being deleted: it stays frozen and
   * the kubelet kills it.
   */
  async thaw(container: Container, life: AbortSignal): Promise<boolean> {
    const { api, clock, node, ledger, onThawed } = this.#options;
    const fenced = await api.patchPodLocked(
      container.pod,
      (pod) => {
        if (pod.metadata.deletionTimestamp !== undefined || container.state !== 'frozen') return null;
        return { conditions: [{ type: FROZEN_CONDITION, status: 'False', reason: 'Thawed', message: '' }] };
      },
      life,
    );
    if (fenced === null || fenced.metadata.deletionTimestamp !== undefined) return false;
    // Killed, thawed by somebody else, or left to the next agent, while the answer was on its way.
    if (container.state !== 'frozen' || life.aborted) return false;
    ledger.hold(node.weightOf(container.pod), container.stateSeconds);
    container.thaw();
    ledger.record(workEvent('thawed', container, clock.now()));
    onThawed(container);
    return true;
  }
}
