import { RESOURCES } from '../../src/kube/resources.ts';
import type { ServerWrite } from '../../src/sim/api-server/server-options.ts';
import { podOf } from './parsed.ts';
import { isEvictedProtected, type Evicted } from './evidence.ts';
import type { Truth } from './truth.ts';

/** An Event is written in the background, one after the other. */
const TOLD_MS = 30_000;
const REASONS: ReadonlySet<string> = new Set(['EvictedUnsaved', 'SavingCostsMore']);

/** Protected pods that were evicted without their state, until an Event says so. */
export class UnsavedEvictions {
  #untold: readonly (Evicted & { readonly leader: string | null; readonly atMs: number })[] = [];

  written(truth: Truth, write: ServerWrite): void {
    if (write.kind === RESOURCES.events) {
      const { reason = '', involvedObject } = write.object as unknown as EventTold;
      if (REASONS.has(reason)) this.#untold = this.#untold.filter(({ uid }) => uid !== involvedObject?.uid);
      return;
    }
    const victim = isEvictedProtected(truth, { kind: 'write', write });
    if (victim !== null)
      this.#untold = [...this.#untold, { ...victim, leader: truth.holder, atMs: truth.world.elapsedMs }];
  }

  /** One that nobody has told of, though the same replica has led and been well since. */
  untold(truth: Truth): { readonly name: string; readonly sinceMs: number } | null {
    if (this.#untold.length === 0) return null;
    const { elapsedMs } = truth.world;
    const { process } = truth.world.leader()?.replica ?? {};
    const isLeading = process?.isWell === true && process.name === truth.holder;
    this.#untold = isLeading ? this.#untold.filter(({ leader }) => leader === truth.holder) : [];
    const found = this.#untold.find(({ atMs }) => elapsedMs - atMs >= TOLD_MS);
    return found === undefined ? null : { name: podOf(found.object).name, sinceMs: elapsedMs - found.atMs };
  }

  clear(): void {
    this.#untold = [];
  }
}

interface EventTold {
  readonly reason?: string;
  readonly involvedObject?: { readonly uid?: string };
}
