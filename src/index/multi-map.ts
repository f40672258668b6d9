/** Several values under one key; answers are arrays that are replaced, never changed. */
export class MultiMap<K, V> {
  readonly #values = new Map<K, readonly V[]>(); // key -> its values, in order of arrival
  readonly #keyOf: (value: V) => K | null;

  /** Values without a key are left out. */
  constructor(keyOf: (value: V) => K | null) {
    this.#keyOf = keyOf;
  }

  get(key: K): readonly V[] {
    return this.#values.get(key) ?? NONE;
  }

  keys(): Iterable<K> {
    return this.#values.keys();
  }

  /** Puts `after` in the place of `before`; undefined where there was or is none. */
  change(before: V | undefined, after: V | undefined): void {
    const from = before === undefined ? null : this.#keyOf(before);
    const to = after === undefined ? null : this.#keyOf(after);
    if (from !== null && from === to) {
      const replaced = this.get(from).map((value) => (value === before ? (after as V) : value));
      this.#values.set(from, replaced);
      return;
    }
    if (from !== null) this.#remove(from, before as V);
    if (to !== null) this.#values.set(to, [...this.get(to), after as V]);
  }

  #remove(key: K, value: V): void {
    const rest = this.get(key).filter((candidate) => candidate !== value);
    if (rest.length === 0) this.#values.delete(key);
    else this.#values.set(key, rest);
  }
}

const NONE: readonly never[] = [];
