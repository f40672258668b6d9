import { compareVersions } from '../index/object-table.ts';

/**
 * The resourceVersions of one collection, as far as a client has seen them. After a restore of etcd they are lower than before,
 * and a watch from a version that is still to come is silent, whatever happens (`cacheWatcher` of kube-apiserver).
 */
export class SeenVersions {
  #next: string | null = null;
  #highest: string | null = null;

  /** Where the next watch starts; null: all objects are listed first. */
  get next(): string | null {
    return this.#next;
  }

  /** The highest version that was seen; null before any was, and after the API server went back. */
  get highest(): string | null {
    return this.#highest;
  }

  /** A version that the API server answers now is lower than one that it gave before. */
  isBehind(version: string): boolean {
    return version !== '' && this.#highest !== null && compareVersions(version, this.#highest) < 0;
  }

  advance(version: string): void {
    if (version === '') return;
    this.#next = version;
    if (this.#highest === null || compareVersions(version, this.#highest) > 0) this.#highest = version;
  }

  /** All objects are listed before the next watch. */
  startOver(): void {
    this.#next = null;
  }

  /** The API server went back to an earlier state: what was seen before is no measure any more. */
  wentBack(): void {
    this.#highest = null;
  }
}
