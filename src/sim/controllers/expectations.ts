import type { Clock } from '../../ports/clock.ts';

/** After this long the watch is believed to have lost something, as in client-go's `ControllerExpectations`. */
const EXPIRY_MS = 5 * 60_000;

interface Expected {
  creations: number;
  readonly deletions: Set<string>; // UIDs
  sinceMs: number;
}

/**
 * What a controller has done and its informer has not shown yet. While something is expected of an owner it is not
 * reconciled: the pods it would count are not all of them, and it would create twice.
 */
export class Expectations {
  readonly #clock: Clock;
  readonly #byOwner = new Map<string, Expected>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Before the request: the watch may be faster than the answer. */
  expectCreation(owner: string): void {
    this.#of(owner).creations++;
  }

  /** Also on failure: nothing is coming then. */
  creationSeen(owner: string): void {
    const expected = this.#byOwner.get(owner);
    if (expected !== undefined && expected.creations > 0) expected.creations--;
  }

  expectDeletion(owner: string, uid: string): void {
    this.#of(owner).deletions.add(uid);
  }

  deletionSeen(owner: string, uid: string): void {
    this.#byOwner.get(owner)?.deletions.delete(uid);
  }

  areMet(owner: string): boolean {
    const expected = this.#byOwner.get(owner);
    if (expected === undefined) return true;
    const met = expected.creations === 0 && expected.deletions.size === 0;
    if (!met && this.#clock.monotonic() - expected.sinceMs < EXPIRY_MS) return false;
    this.#byOwner.delete(owner);
    return true;
  }

  forget(owner: string): void {
    this.#byOwner.delete(owner);
  }

  #of(owner: string): Expected {
    let expected = this.#byOwner.get(owner);
    if (expected === undefined) {
      expected = { creations: 0, deletions: new Set(), sinceMs: 0 };
      this.#byOwner.set(owner, expected);
    }
    expected.sinceMs = this.#clock.monotonic();
    return expected;
  }
}
