/** What every indexed value has. */
interface Identified {
  readonly uid: string;
  readonly resourceVersion: string;
}

/** Deleted objects whose late updates are still recognised. Far more than a watch can be behind. */
const MAX_TOMBSTONES = 10_000;

/**
 * The current version of each object of one kind. Answers to our own writes and watch events arrive in any order and more
 * than once; only what is newer than what is held counts, and what was deleted stays deleted.
 */
export class ObjectTable<T extends Identified> {
  readonly #byUid = new Map<string, T>(); // uid -> newest version seen
  readonly #tombstones = new Map<string, string>(); // uid of a deleted object -> version of its deletion, oldest first

  get size(): number {
    return this.#byUid.size;
  }

  get(uid: string): T | undefined {
    return this.#byUid.get(uid);
  }

  values(): IterableIterator<T> {
    return this.#byUid.values();
  }

  /** Whether an upsert of this version would be taken. */
  isNews(value: T): boolean {
    const held = this.#byUid.get(value.uid);
    if (held !== undefined) return compareVersions(value.resourceVersion, held.resourceVersion) > 0;
    const buried = this.#tombstones.get(value.uid);
    return buried === undefined || compareVersions(value.resourceVersion, buried) > 0;
  }

  set(value: T): void {
    this.#tombstones.delete(value.uid);
    this.#byUid.set(value.uid, value);
  }

  /** Forgets the object, unless a newer version than the deletion is held. Returns what was forgotten. */
  delete(uid: string, resourceVersion: string): T | undefined {
    const held = this.#byUid.get(uid);
    if (held !== undefined && compareVersions(held.resourceVersion, resourceVersion) > 0) return undefined;
    this.#bury(uid, resourceVersion);
    this.#byUid.delete(uid);
    return held;
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

/**
 * Whether `value` is the one that has a name which `held` had: a late event of a deleted object must not take the name from
 * the object that was created after it. Versions of all objects are of one sequence.
 */
export function isCurrent<T extends Identified>(held: T | undefined, value: T): boolean {
  return (
    held === undefined || held.uid === value.uid || compareVersions(value.resourceVersion, held.resourceVersion) > 0
  );
}
