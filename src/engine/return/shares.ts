import { changeCount } from '../../index/counts.ts';
import type { Queued } from './queue.ts';

/**
 * Restores in flight by namespace. While pods of several namespaces wait, each namespace may use an equal share of the places for
 * restores before those of its pods that follow stand back; what others cannot use is theirs all the same.
 */
export class Shares {
  readonly #underWay = new Map<string, number>(); // namespace -> restores under way on nodes
  readonly #promised = new Map<string, number>(); // namespace -> pods that this pass has given a node

  /** Namespaces of what is under way on one node, before and now. */
  change(before: readonly string[] | undefined, after: readonly string[] | undefined): void {
    for (const namespace of after ?? NONE) changeCount(this.#underWay, namespace, 1);
    for (const namespace of before ?? NONE) changeCount(this.#underWay, namespace, -1);
  }

  promise(namespace: string): void {
    changeCount(this.#promised, namespace, 1);
  }

  /** Ends a pass. */
  giveBack(): void {
    this.#promised.clear();
  }

  /** A namespace with one restore at a time is never over its share. */
  isOver(namespace: string, share: number): boolean {
    const inFlight = (this.#underWay.get(namespace) ?? 0) + (this.#promised.get(namespace) ?? 0);
    return inFlight >= Math.max(1, Math.floor(share));
  }
}

const NONE: readonly string[] = [];

/**
 * Entries as they come to their turn. `entries` are in order; within one priority those wait for the others whose namespace is over its
 * share when it would be their turn.
 */
export function* inTurn(entries: readonly Queued[], isOverShare: (entry: Queued) => boolean): Generator<Queued, void> {
  let standBack: Queued[] = [];
  let priority: number | null = null;
  for (const entry of entries) {
    if (entry.ticket.priority !== priority) {
      yield* standBack;
      standBack = [];
      priority = entry.ticket.priority;
    }
    if (isOverShare(entry)) standBack.push(entry);
    else yield entry;
  }
  yield* standBack;
}
