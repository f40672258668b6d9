export interface ReflectorStats {
  readonly synced: boolean;
  /** Watches opened after the first one. */
  readonly restarts: number;
  /** Full listings after the first one. */
  readonly relists: number;
  /** Objects that those listings had and the watch had not delivered. */
  readonly missed: number;
  /** Objects that were gone without the watch having said so. */
  readonly redundant: number;
  /** Changes received, initial ones included. */
  readonly events: number;
  /** Objects that could not be read; they are left out. */
  readonly invalid: number;
  /** When the server last said anything, bookmarks included, on the clock that nobody sets; null before it did. */
  readonly lastEventMs: number | null;
}

/** What a reflector counts. */
export class ReflectorTally {
  streams = 0;
  listings = 0;
  missed = 0;
  redundant = 0;
  events = 0;
  invalid = 0;
  lastEventMs: number | null = null;

  stats(): ReflectorStats {
    const { missed, redundant, events, invalid, lastEventMs } = this;
    return {
      synced: this.listings > 0,
      restarts: Math.max(0, this.streams - 1),
      relists: Math.max(0, this.listings - 1),
      missed,
      redundant,
      events,
      invalid,
      lastEventMs,
    };
  }
}
