/** What every indexed value has. */
interface Identified {
  readonly uid: string;
  readonly resourceVersion: string;
}

/** Deleted objects whose late updates are still recognised. Far more than a watch can be behind. */
const MAX_TOMBSTONES = 10_000;

/**
 * The current version of each object of one kind. Answers to our own writes and watch events arrive in any order and more
 * than once; only what is newer than what is held counts, and what was deleted stays deleted. A name belongs to one object at
 * a time: whoever is seen with it at a newer version shows that the former one is gone, whether or not its deletion was seen.
 */
export class ObjectTable<T extends Identified, Name extends string> {
  readonly #byUid = new Map<string, T>(); // uid -> newest version seen
  readonly #byName = new Map<Name, T>(); // name -> the object that has it
  readonly #tombstones = new Map<string, string>(); // uid of a deleted object -> version of its deletion, oldest first
  readonly #nameOf: (value: T) => Name;

  /** `nameOf` tells objects apart that exist at the same time: `namespace/name`, or the name where there are no namespaces. */
  constructor(nameOf: (value: T) => Name) {
    this.#nameOf = nameOf;
  }

  get size(): number {
    return this.#byUid.size;
  }

  get(uid: string): T | undefined {
    return this.#byUid.get(uid);
  }

  named(name: Name): T | undefined {
    return this.#byName.get(name);
  }

  values(): IterableIterator<T> {
    return this.#byUid.values();
  }

  /** Whether an upsert of this version would be taken. */
  isNews(value: T): boolean {
    const holder = this.#byUid.get(value.uid) ?? this.#byName.get(this.#nameOf(value));
    if (holder !== undefined && compareVersions(value.resourceVersion, holder.resourceVersion) <= 0) return false;
    const buried = this.#tombstones.get(value.uid);
    return buried === undefined || compareVersions(value.resourceVersion, buried) > 0;
  }

  /** The other object that must be gone if `value` exists: it had its name. */
  formerOf(value: T): T | undefined {
    const holder = this.#byName.get(this.#nameOf(value));
    return holder === undefined || holder.uid === value.uid ? undefined : holder;
  }

  /** Only for what {@link isNews}, after its {@link formerOf} was deleted. */
  set(value: T): void {
    this.#tombstones.delete(value.uid);
    this.#byUid.set(value.uid, value);
    this.#byName.set(this.#nameOf(value), value);
  }

  /** Forgets the object, unless a newer version than the deletion is held. Returns what was forgotten. */
  delete(uid: string, resourceVersion: string): T | undefined {
    const held = this.#byUid.get(uid);
    if (held !== undefined && compareVersions(held.resourceVersion, resourceVersion) > 0) return undefined;
    this.#bury(uid, resourceVersion);
    if (held === undefined) return undefined;
    this.#byUid.delete(uid);
    this.#byName.delete(this.#nameOf(held));
    return held;
  }

  /** The API server went back to an earlier state, in which what was deleted since exists again. */
  forgetDeletions(): void {
    this.#tombstones.clear();
  }

  #bury(uid: string, resourceVersion: string): void {
    const buried = this.#tombstones.get(uid);
    if (buried !== undefined && compareVersions(buried, resourceVersion) >= 0) return;
    this.#tombstones.delete(uid);
    this.#tombstones.set(uid, resourceVersion);
    if (this.#tombstones.size <= MAX_TOMBSTONES) return;
    for (const oldest of this.#tombstones.keys()) {
      this.#tombstones.delete(oldest);
      break;
    }
  }
}

/**
 * Order of two resourceVersions: decimal integers of any length (KEP-5504). By length, then by digits, since they exceed
 * what a number holds and a BigInt for each event would cost more than the comparison.
 */
export function compareVersions(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);
}
