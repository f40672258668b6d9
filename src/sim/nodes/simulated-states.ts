import type { PodUid } from '../../domain/ids.ts';

/** A saved state on a node's disk. */
export interface SavedState {
  readonly podUid: PodUid;
  readonly progressSeconds: number;
  readonly bytes: number;
  readonly images: readonly string[];
  /** Share of a node that its pod took: what losing a second of it costs. */
  readonly weight: number;
  /** Its pod was displaced and nobody has continued it yet: the work is lost with this state. */
  owed: boolean;
}

/** The states a node keeps; they survive the agent, not the node. */
export class SimulatedStates {
  readonly #states = new Map<string, SavedState>(); // reference -> state, oldest first
  readonly #unknown = new Map<string, number>(); // reference -> since when its PodCheckpoint is unknown
  readonly #unfinished = new Set<string>(); // references of which something lies on the disk, and no whole state

  get(reference: string): SavedState | undefined {
    return this.#states.get(reference);
  }

  /** A dump begins: until it is whole, what is written of it takes room. */
  begin(reference: string): void {
    if (!this.#states.has(reference)) this.#unfinished.add(reference);
  }

  put(reference: string, state: SavedState): void {
    this.#unfinished.delete(reference);
    this.#states.delete(reference); // a dump that was made again is the newest
    this.#states.set(reference, state);
  }

  /** As the mark beside a state on a real node. */
  unknownSince(reference: string, nowMs: number): number | null {
    if (!this.#states.has(reference)) return null;
    const sinceMs = this.#unknown.get(reference) ?? nowMs;
    this.#unknown.set(reference, sinceMs);
    return sinceMs;
  }

  known(reference: string): void {
    this.#unknown.delete(reference);
  }

  references(): readonly string[] {
    return [...this.#states.keys(), ...this.#unfinished];
  }

  /** The newest state of a pod: what it would be continued from. */
  newestOf(podUid: PodUid): SavedState | undefined {
    return [...this.#states.values()].findLast((state) => state.podUid === podUid);
  }

  /**
   * Removes a state and returns the seconds of work that are lost with it. An older state of the same pod keeps its part,
   * and is owed from then on.
   */
  remove(reference: string): { readonly state: SavedState; readonly lostSeconds: number } | null {
    this.#unfinished.delete(reference);
    const state = this.#states.get(reference);
    if (state === undefined) return null;
    this.#states.delete(reference);
    this.#unknown.delete(reference);
    if (!state.owed) return { state, lostSeconds: 0 };
    const older = this.newestOf(state.podUid);
    if (older !== undefined) older.owed = true;
    return { state, lostSeconds: state.progressSeconds - (older?.progressSeconds ?? 0) };
  }

  /** Somebody continues this pod's work: removing its states loses nothing. */
  continued(podUid: PodUid): void {
    for (const state of this.#states.values()) if (state.podUid === podUid) state.owed = false;
  }
}
