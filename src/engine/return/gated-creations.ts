import { objectKey } from '../../domain/ids.ts';
import { RESTORE_GATE } from '../../domain/labels.ts';
import type { IndexEvent } from '../../index/types.ts';
import type { Clock } from '../../ports/clock.ts';
import type { AdmissionRequest } from '../preemption/callbacks.ts';

/** Longer than a pod takes from its review into the index. */
const UNSEEN_MS = 3_000;
const PROBE_EVERY_MS = 10_000;
/** Then the gate is tried again: who refuses it may have been told to allow it. */
const ASIDE_MS = 600_000;
/** An owner that creates nothing any more is forgotten. */
const FORGOTTEN_MS = 900_000;
/** Beyond this many the oldest is forgotten. */
const MOST_OWNERS = 1_000;

/** UID of the controller; `namespace/name` of a pod without one, which a person or an operator creates again under that name. */
type Creator = string;

/** The creations of one {@link Creator} that were given the gate, and whose pods have not been seen. */
interface Unseen {
  readonly sinceMs: number;
  probeAtMs: number;
  asideUntilMs: number;
}

export interface GatedCreationsOptions {
  readonly clock: Clock;
  /** Why the API server refuses this pod with the gate and our RuntimeClass, and accepts it without; else null. Changes nothing. */
  readonly probe: (request: AdmissionRequest) => Promise<string | null>;
  readonly onAside: (request: AdmissionRequest, message: string) => void;
}

/**
 * Notices controllers whose pods are refused after the webhook gave them the gate: by a policy of the cluster that allows no such
 * RuntimeClass, for example. Their FailedCreate is seen by what is missing: the controller asks again, and no pod has come.
 *
 *     gated ──pod seen──> forgotten
 *       └──asked again after 3 s──> probed ──refused only with the gate──> aside for 10 min: pods pass without the gate, and start cold
 *                                     └──otherwise (quota, for example)──> gated on, probed again after 10 s
 */
export class GatedCreations {
  readonly #options: GatedCreationsOptions;
  readonly #unseen = new Map<Creator, Unseen>(); // oldest first

  constructor(options: GatedCreationsOptions) {
    this.#options = options;
  }

  /** Pods of this controller pass without the gate. */
  isAside(request: AdmissionRequest): boolean {
    const unseen = this.#unseen.get(creatorOf(request));
    return unseen !== undefined && this.#options.clock.monotonic() < unseen.asideUntilMs;
  }

  /** A pod of this controller is given the gate. */
  gated(request: AdmissionRequest): void {
    if (request.dryRun) return;
    const creator = creatorOf(request);
    const nowMs = this.#options.clock.monotonic();
    let unseen = this.#unseen.get(creator);
    if (unseen === undefined || nowMs - unseen.sinceMs >= FORGOTTEN_MS) {
      const [oldest] = this.#unseen.keys();
      if (oldest !== undefined && this.#unseen.size >= MOST_OWNERS) this.#unseen.delete(oldest);
      unseen = { sinceMs: nowMs, probeAtMs: nowMs + UNSEEN_MS, asideUntilMs: Number.NEGATIVE_INFINITY };
      this.#unseen.set(creator, unseen);
    } else if (nowMs >= unseen.probeAtMs) void this.#probe(unseen, request);
  }

  /** A change of the index. */
  seen(event: IndexEvent): void {
    if (this.#unseen.size === 0 || event.kind !== 'pod' || event.type === 'delete') return;
    if (event.value.gates.includes(RESTORE_GATE)) this.#unseen.delete(creatorOf(event.value));
  }

  async #probe(unseen: Unseen, request: AdmissionRequest): Promise<void> {
    const { clock, probe, onAside } = this.#options;
    unseen.probeAtMs = clock.monotonic() + PROBE_EVERY_MS;
    let message: string | null;
    try {
      message = await probe(request);
    } catch {
      return; // no answer shows nothing
    }
    if (message === null) return;
    unseen.asideUntilMs = clock.monotonic() + ASIDE_MS;
    onAside(request, message);
  }
}

function creatorOf({ namespace, name, owner }: Pick<AdmissionRequest, 'namespace' | 'name' | 'owner'>): Creator {
  return owner?.uid ?? objectKey(namespace, name ?? '');
}
