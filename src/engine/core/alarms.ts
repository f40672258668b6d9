/** Something that is to be looked at again at a time. */
export interface Sleeper {
  /** On the clock of {@link Alarms.due}; infinite: it has no alarm. */
  wakeAtMs: number;
}

interface Entry<T> {
  readonly atMs: number;
  readonly sleeper: T;
}

/**
 * Who is to be looked at next: a binary heap, earliest first. An alarm that was set anew leaves its former entry in the heap,
 * where it is known by another time; once half of the heap is such entries, it is made anew.
 *
 *           3
 *        7     5        children of i are 2i + 1 and 2i + 2, none earlier than i
 *      9   8  6
 */
export class Alarms<T extends Sleeper> {
  #heap: Entry<T>[] = [];
  #set = 0; // sleepers with an alarm

  /** Replaces the alarm of `sleeper`. */
  set(sleeper: T, atMs: number): void {
    const formerMs = sleeper.wakeAtMs;
    if (formerMs === atMs) return;
    sleeper.wakeAtMs = atMs;
    if (formerMs !== Number.POSITIVE_INFINITY) this.#set--;
    if (atMs === Number.POSITIVE_INFINITY) return;
    this.#set++;
    this.#push({ atMs, sleeper });
    if (this.#heap.length > 2 * this.#set + SLACK) this.#rebuild();
  }

  /** When the next alarm is; infinite where there is none. */
  nextMs(): number {
    this.#dropFormer();
    return this.#heap[0]?.atMs ?? Number.POSITIVE_INFINITY;
  }

  /** Takes out those whose time has come. */
  *due(nowMs: number): Generator<T> {
    while (this.nextMs() <= nowMs) {
      const { sleeper } = this.#pop();
      this.#set--;
      sleeper.wakeAtMs = Number.POSITIVE_INFINITY;
      yield sleeper;
    }
  }

  clear(): void {
    this.#heap = [];
    this.#set = 0;
  }

  #dropFormer(): void {
    for (let first = this.#heap[0]; first !== undefined && first.atMs !== first.sleeper.wakeAtMs; first = this.#heap[0])
      this.#pop();
  }

  #rebuild(): void {
    const entries = this.#heap;
    this.#heap = [];
    const kept = new Set<T>();
    for (const entry of entries) {
      if (entry.atMs !== entry.sleeper.wakeAtMs || kept.has(entry.sleeper)) continue;
      kept.add(entry.sleeper);
      this.#push(entry);
    }
  }

  #push(entry: Entry<T>): void {
    const heap = this.#heap;
    let at = heap.push(entry) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if ((heap[parent] as Entry<T>).atMs <= entry.atMs) break;
      heap[at] = heap[parent] as Entry<T>;
      at = parent;
    }
    heap[at] = entry;
  }

  #pop(): Entry<T> {
    const heap = this.#heap;
    const first = heap[0] as Entry<T>;
    const last = heap.pop() as Entry<T>;
    if (heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && (heap[child + 1] as Entry<T>).atMs < (heap[child] as Entry<T>).atMs) child++;
      if ((heap[child] as Entry<T>).atMs >= last.atMs) break;
      heap[at] = heap[child] as Entry<T>;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

/** Former entries that are no reason to make a small heap anew. */
const SLACK = 64;
