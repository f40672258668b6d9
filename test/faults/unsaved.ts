import { pathOf, RESOURCES } from '../../src/kube/resources.ts';
import type { ServerWrite } from '../../src/sim/api-server/server-options.ts';
import { podOf } from './parsed.ts';
import { isEvictedProtected, type Evicted } from './evidence.ts';
import type { Truth } from './truth.ts';

/** An Event is written in the background, one after the other. */
const TOLD_MS = 30_000;
const REASONS: ReadonlySet<string> = new Set(['EvictedUnsaved', 'SavingCostsMore']);

interface Untold extends Evicted {
  readonly leader: string | null;
  readonly atMs: number;
  /** The leader watched pods at some moment at which this one was written while it was going. */
  readonly isSeen: boolean;
}

/** Protected pods that were evicted without their state, until an Event says so. */
export class UnsavedEvictions {
  #untold: readonly Untold[] = [];

  written(truth: Truth, write: ServerWrite): void {
    if (write.kind === RESOURCES.events) {
      const { reason = '', involvedObject } = write.object as unknown as EventTold;
      if (REASONS.has(reason)) this.#untold = this.#untold.filter(({ uid }) => uid !== involvedObject?.uid);
      return;
    }
    const victim = isEvictedProtected(truth, { kind: 'write', write });
    if (victim !== null)
      this.#untold = [...this.#untold, { ...victim, leader: truth.holder, atMs: truth.world.elapsedMs, isSeen: false }];
    if (write.kind === RESOURCES.pods) this.#noteSight(truth, write);
  }

  /** A pod that went while the watch of the leader was broken may be missing from what it lists again: nothing says then how it went. */
  #noteSight(truth: Truth, { type, object }: ServerWrite): void {
    const one = this.#untold.find(({ uid }) => uid === object.metadata.uid);
    if (one === undefined) return;
    const isSeen = one.isSeen || truth.world.leader()?.replica.process.isWatching(pathOf(RESOURCES.pods)) === true;
    const others = this.#untold.filter((other) => other !== one);
    this.#untold = type === 'DELETED' && !isSeen ? others : [...others, { ...one, isSeen }];
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
