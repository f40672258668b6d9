/** Several values under one key; answers are arrays that are replaced, never changed. */
export class MultiMap<K, V> {
  readonly #values = new Map<K, readonly V[]>(); // key -> its values, in order of arrival

  get(key: K): readonly V[] {
    return this.#values.get(key) ?? NONE;
  }

  add(key: K, value: V): void {
    this.#values.set(key, [...this.get(key), value]);
  }

  remove(key: K, value: V): void {
    const rest = this.get(key).filter((candidate) => candidate !== value);
    if (rest.length === 0) this.#values.delete(key);
    else this.#values.set(key, rest);
  }
}

const NONE: readonly never[] = [];
