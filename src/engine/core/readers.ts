import type { Part, PartKind } from './parts.ts';

/** A task that has read parts of the cluster. */
export interface Reader {
  /** What it read last time, in order; kept by {@link Readers}. */
  parts: readonly Read[];
}

interface Read {
  readonly kind: PartKind;
  readonly key: string;
  readonly readers: Set<Reader>;
  /** Number of the last look that read it. */
  look: number;
}

/**
 * Who read what, so that a change leads to those who must look again. Most looks read the same as the one before, so only what
 * differs is noted. Keys are strings that exist already, with their hashes: to make one for each read would cost more than the step.
 */
export class Readers<R extends Reader> {
  readonly #byPart = new Map<PartKind, Map<string, Read>>();
  #look = 0;
  #reads: Read[] | null = null; // of the look under way

  of([kind, key]: Part): Iterable<R> {
    return (this.#byPart.get(kind)?.get(key)?.readers ?? NO_READERS) as Iterable<R>;
  }

  /** All that is read while `look` runs is read by `reader`, and nothing that it read before. */
  during<T>(reader: R, look: () => T): T {
    this.#look++;
    const reads = (this.#reads = []);
    try {
      return look();
    } finally {
      this.#reads = null;
      this.#replace(reader, reads);
    }
  }

  read(kind: PartKind, key: string): void {
    if (this.#reads === null) return;
    let parts = this.#byPart.get(kind);
    if (parts === undefined) this.#byPart.set(kind, (parts = new Map()));
    let read = parts.get(key);
    if (read === undefined) parts.set(key, (read = { kind, key, readers: new Set(), look: 0 }));
    if (read.look === this.#look) return;
    read.look = this.#look;
    this.#reads.push(read);
  }

  forget(reader: R): void {
    this.#look++;
    this.#replace(reader, []);
  }

  #replace(reader: R, reads: readonly Read[]): void {
    const former = reader.parts;
    reader.parts = reads;
    for (const [at, read] of reads.entries()) if (former[at] !== read) read.readers.add(reader);
    for (const { kind, key, readers, look } of former) {
      if (look === this.#look) continue;
      readers.delete(reader);
      if (readers.size === 0) this.#byPart.get(kind)?.delete(key);
    }
  }
}

const NO_READERS: readonly never[] = [];
