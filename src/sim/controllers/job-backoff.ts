import type { KubeObject } from '../../kube/transport.ts';
import { phaseOf, uidOf, type WirePod } from './objects.ts';

/** `DefaultJobPodFailureBackOff` and `MaxJobPodFailureBackOff` of 1.37. */
const FIRST_MS = 10_000;
const MAX_MS = 600_000;

/**
 * How long a Job waits before it replaces failed pods: 10 s, doubled with each failure since the last success. Failures
 * that the pod failure policy ignores count here all the same, as they do in the real controller.
 */
export class JobBackoff {
  readonly #seen = new Set<string>(); // UIDs of ended pods
  #failures = 0;
  #lastFailureMs = 0;

  /** Takes note of ended pods; each counts once. */
  record(ended: readonly KubeObject[]): this {
    const fresh = ended.filter((pod) => !this.#seen.has(uidOf(pod)));
    fresh.sort((a, b) => finishedMs(a) - finishedMs(b));
    for (const pod of fresh) {
      this.#seen.add(uidOf(pod));
      if (phaseOf(pod) === 'Succeeded') this.#failures = 0;
      else {
        this.#failures++;
        this.#lastFailureMs = finishedMs(pod);
      }
    }
    return this;
  }

  remainingMs(nowMs: number): number {
    if (this.#failures === 0) return 0;
    const backoff = Math.min(FIRST_MS * 2 ** (this.#failures - 1), MAX_MS);
    return Math.max(0, this.#lastFailureMs + backoff - nowMs);
  }
}

/** When the pod ended: by its containers, by its Ready condition, by its deletion, by its creation (`getFinishedTime`). */
function finishedMs(pod: KubeObject): number {
  const { status, metadata } = pod as WirePod & KubeObject;
  const ends = (status?.containerStatuses ?? []).map(({ state }) => state?.terminated?.finishedAt ?? '');
  if (ends.length > 0 && !ends.includes('')) return Math.max(...ends.map((end) => Date.parse(end)));
  const notReady = status?.conditions?.find(({ type, status }) => type === 'Ready' && status === 'False');
  if (notReady?.lastTransitionTime) return Date.parse(notReady.lastTransitionTime);
  if (metadata.deletionTimestamp !== undefined) {
    return Date.parse(metadata.deletionTimestamp) - (metadata.deletionGracePeriodSeconds ?? 0) * 1000;
  }
  return Date.parse(metadata.creationTimestamp ?? '') || 0;
}
