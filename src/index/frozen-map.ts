/**
 * Maps of which frozen views cost nothing to take: whoever is about to change a key first notes, in the newest view, what it
 * held.
 *
 *     oldest view ──> newer view ──> newest view ──> live map
 *       then: a=1       then: b=2      then: -         a=5 b=6 c=7
 *
 * A view answers with what was noted in it, else it asks the next newer one, at last the live map: above, the oldest view has
 * a=1 b=2 c=7. Views refer to newer ones only and the map holds the newest weakly, so that views nobody holds are collected;
 * while there is none, nothing is noted.
 */
interface Live<K, V> {
  get(key: K): V | undefined;
  entries(): Iterable<readonly [K, V]>;
}

/** What a map held when the view was taken. */
export class FrozenMap<K, V> {
  readonly #live: Live<K, V>;
  readonly #then = new Map<K, V | undefined>(); // key that changed since -> what it held
  #next: FrozenMap<K, V> | null = null; // the view taken after this one
  #values: readonly V[] | null = null; // the answer to values(); null until somebody asks

  constructor(live: Live<K, V>) {
    this.#live = live;
  }

  get(key: K): V | undefined {
    if (this.#then.has(key)) return this.#then.get(key);
    // A loop, not recursion: a view that is held for long may have thousands after it.
    for (let view = this.#next; view !== null; view = view.#next) {
      if (view.#then.has(key)) return view.#then.get(key);
    }
    return this.#live.get(key);
  }

  /** All values, in no particular order. */
  values(): readonly V[] {
    return (this.#values ??= this.#collect());
  }

  /** Whether the live map is still as it was. */
  get isCurrent(): boolean {
    return this.#next === null && this.#then.size === 0;
  }

  /** The first word on a key counts: later ones are about later values. */
  note(key: K): void {
    if (!this.#then.has(key)) this.#then.set(key, this.#live.get(key));
  }

  precede(next: FrozenMap<K, V>): void {
    this.#next = next;
  }

  #collect(): V[] {
    const then = new Map(this.#then);
    for (let view = this.#next; view !== null; view = view.#next) {
      for (const [key, value] of view.#then) if (!then.has(key)) then.set(key, value);
    }
    const values: V[] = [];
    for (const [key, value] of this.#live.entries()) if (!then.has(key)) values.push(value);
    for (const value of then.values()) if (value !== undefined) values.push(value);
    return values;
  }
}

/** The views of one live map. */
export class Views<K, V> {
  readonly #live: Live<K, V>;
  #newest: WeakRef<FrozenMap<K, V>> | null = null;

  constructor(live: Live<K, V>) {
    this.#live = live;
  }

  /** To be called before the value of `key` changes. */
  beforeChange(key: K): void {
    if (this.#newest === null) return;
    const newest = this.#newest.deref();
    if (newest === undefined) this.#newest = null;
    else newest.note(key);
  }

  freeze(): FrozenMap<K, V> {
    const newest = this.#newest?.deref();
    if (newest?.isCurrent === true) return newest;
    const view = new FrozenMap(this.#live);
    newest?.precede(view);
    this.#newest = new WeakRef(view);
    return view;
  }
}

/** A map that can be frozen. */
export class FreezableMap<K, V> {
  readonly #live = new Map<K, V>();
  readonly #views = new Views<K, V>(this.#live);

  get size(): number {
    return this.#live.size;
  }

  get(key: K): V | undefined {
    return this.#live.get(key);
  }

  values(): IterableIterator<V> {
    return this.#live.values();
  }

  set(key: K, value: V): void {
    this.#views.beforeChange(key);
    this.#live.set(key, value);
  }

  delete(key: K): void {
    this.#views.beforeChange(key);
    this.#live.delete(key);
  }

  freeze(): FrozenMap<K, V> {
    return this.#views.freeze();
  }
}
