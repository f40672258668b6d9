import { changeCount } from '../../index/counts.ts';
import { insert, remove } from '../../index/sorted.ts';
import { isGated } from './claims.ts';
import type { Queued } from './queue.ts';
import type { Sort } from './sorts.ts';
import type { Ticket } from '../../domain/ticket.ts';

/** The entries of one sort. */
interface Group {
  readonly gated: Queued[]; // in order
  /** How many others there are. */
  ungated: number;
}

/**
 * The tickets that wait for capacity, kept from pass to pass. With thousands of them a pass looks at a few:
 *
 *     #gated   t1 t2 t3 t4 t5 t6     by turn: the first may have a node kept clear for it
 *     #byAge   t2 t1 t4 t3 t6 t5     oldest pod first: those whose gate expires next
 *     #byWait  t2 t1 t4 t6 t3 t5     those that wait longest first: the first to starve
 *     #bySort  A: t1 t4 t5           where no node has room for one of a sort, none has for the others
 *              B: t2 t3 t6
 */
export class RestoreQueue {
  readonly #ungated: Queued[] = []; // without a gate, and no node yet; in order
  readonly #gated: Queued[] = []; // in order
  readonly #byAge: Queued[] = []; // of #gated
  readonly #byWait: Queued[] = []; // of #gated
  readonly #bySort = new Map<Sort, Group>();
  readonly #byNamespace = new Map<string, number>(); // namespace -> how many of #gated

  static of(entries: readonly Queued[]): RestoreQueue {
    const queue = new RestoreQueue();
    for (const entry of entries) queue.add(entry);
    return queue;
  }

  add(entry: Queued): void {
    let group = this.#bySort.get(entry.sort);
    if (group === undefined) this.#bySort.set(entry.sort, (group = { gated: [], ungated: 0 }));
    if (isGated(entry.pod)) {
      for (const list of [this.#gated, group.gated]) insert(list, entry, byTurn);
      insert(this.#byAge, entry, byAge);
      insert(this.#byWait, entry, byWait);
      changeCount(this.#byNamespace, entry.pod.namespace, 1);
    } else {
      insert(this.#ungated, entry, byTurn);
      group.ungated++;
    }
  }

  /** Takes an entry out that is there. */
  remove(entry: Queued): void {
    const group = this.#bySort.get(entry.sort) as Group;
    if (isGated(entry.pod)) {
      for (const list of [this.#gated, group.gated]) remove(list, entry, byTurn);
      remove(this.#byAge, entry, byAge);
      remove(this.#byWait, entry, byWait);
      changeCount(this.#byNamespace, entry.pod.namespace, -1);
    } else {
      remove(this.#ungated, entry, byTurn);
      group.ungated--;
    }
    if (group.gated.length === 0 && group.ungated === 0) this.#bySort.delete(entry.sort);
  }

  /** Of how many namespaces pods wait behind the gate. */
  get namespaces(): number {
    return this.#byNamespace.size;
  }

  has(sort: Sort): boolean {
    return this.#bySort.has(sort);
  }

  /** In order. */
  gated(): readonly Queued[] {
    return this.#gated;
  }

  ungated(): readonly Queued[] {
    return this.#ungated;
  }

  /** Since when the gated entry has waited that waits longest, by the wall clock. */
  get waitsSinceMs(): number | undefined {
    return this.#byWait[0]?.ticket.phaseMs;
  }

  /** Gated entries of the sorts of which `is` is true. */
  gatedOf(is: (sort: Sort) => boolean): Queued[] {
    const entries: Queued[] = [];
    for (const [sort, { gated }] of this.#bySort)
      if (gated.length > 0 && is(sort)) for (const entry of gated) entries.push(entry);
    return entries;
  }

  /** Gated entries whose pods were created at `ms` or before, and the one that was created next. */
  createdUntil(ms: number): { readonly until: readonly Queued[]; readonly next: Queued | undefined } {
    const at = this.#byAge.findIndex(({ pod }) => pod.creationMs > ms);
    return at < 0
      ? { until: this.#byAge, next: undefined }
      : { until: this.#byAge.slice(0, at), next: this.#byAge[at] };
  }
}

/** Highest priority first, then oldest, then name, then UID: total. */
export function byTicket(a: Ticket, b: Ticket): number {
  return (
    b.priority - a.priority ||
    a.creationMs - b.creationMs ||
    compareStrings(a.name, b.name) ||
    compareStrings(a.uid, b.uid)
  );
}

export function byTurn(a: Queued, b: Queued): number {
  return byTicket(a.ticket, b.ticket);
}

function byAge(a: Queued, b: Queued): number {
  return a.pod.creationMs - b.pod.creationMs || byTurn(a, b);
}

function byWait(a: Queued, b: Queued): number {
  return a.ticket.phaseMs - b.ticket.phaseMs || byTurn(a, b);
}

function compareStrings(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
