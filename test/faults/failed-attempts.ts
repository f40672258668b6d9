import { preemptionIn } from '../support/preemption.ts';
import type { Displacement } from '../../src/domain/displacement.ts';
import { growingWaitMs } from '../../src/domain/growing-wait.ts';
import { DEFAULT_ENGINE_SETTINGS } from '../../src/engine/core/steps.ts';
import type { CloseReason } from '../../src/engine/displace/close-reasons.ts';
import type { Truth } from './truth.ts';

const FAILED: ReadonlySet<CloseReason> = new Set<CloseReason>([
  'CheckpointFailed',
  'DeadlineExceeded',
  'EvictionRefused',
  'NotBound',
  'NoLongerFits',
]);

/** Where making room for a preemptor has failed, with or without a fault: a state may be larger than its policy allows. */
export class FailedAttempts {
  readonly #last = new Map<string, { readonly atMs: number; readonly times: number }>(); // process, preemptor, node

  closed({ world }: Truth, by: string, displacement: Displacement, because: CloseReason): void {
    if (!FAILED.has(because)) return;
    const { preemptor, node } = preemptionIn(displacement);
    const key = keyOf(by, preemptor.uid, node);
    this.#last.set(key, { atMs: world.elapsedMs, times: (this.#last.get(key)?.times ?? 0) + 1 });
  }

  /** That process may leave the node out for the preemptor. Sooner where nothing that failed stands there any more. */
  mayBeLeftOut({ world }: Truth, by: string, preemptor: string, node: string): boolean {
    const last = this.#last.get(keyOf(by, preemptor, node));
    if (last === undefined) return false;
    const firstMs = world.plan.settings.retryNodeAfterMs ?? DEFAULT_ENGINE_SETTINGS.retryNodeAfterMs;
    return world.elapsedMs - last.atMs < growingWaitMs(firstMs, last.times);
  }

  /** One of that name that comes later is another node. */
  nodeGone(node: string): void {
    for (const key of this.#last.keys()) if (key.endsWith(` ${node}`)) this.#last.delete(key);
  }

  clear(): void {
    this.#last.clear();
  }
}

function keyOf(by: string, preemptor: string, node: string): string {
  return `${by} ${preemptor} ${node}`;
}
