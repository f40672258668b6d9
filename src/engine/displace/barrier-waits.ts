import type { Displacement } from '../../domain/displacement.ts';
import type { Command } from '../core/commands.ts';

/** How long displacements wait at the commit barrier (`barrier.ts`), from the first pass that found one there to its first eviction. */
export class BarrierWaits {
  readonly #sinceMs = new Map<string, number>(); // displacement id -> time, on the monotonic clock
  readonly #onPassed: (displacement: Displacement, waitedMs: number) => void;

  constructor(onPassed: (displacement: Displacement, waitedMs: number) => void) {
    this.#onPassed = onPassed;
  }

  waits({ id }: Displacement, steadyMs: number): void {
    if (!this.#sinceMs.has(id)) this.#sinceMs.set(id, steadyMs);
  }

  /** What a pass has to carry out: evictions are of displacements that wait no longer. */
  passed(commands: readonly Command[], steadyMs: number): void {
    if (this.#sinceMs.size === 0) return;
    for (const command of commands) {
      const sinceMs = command.kind === 'Evict' ? this.#sinceMs.get(command.displacement.id) : undefined;
      if (command.kind !== 'Evict' || sinceMs === undefined) continue;
      this.#sinceMs.delete(command.displacement.id);
      this.#onPassed(command.displacement, steadyMs - sinceMs);
    }
  }

  forget({ id }: Displacement): void {
    this.#sinceMs.delete(id);
  }

  clear(): void {
    this.#sinceMs.clear();
  }
}
