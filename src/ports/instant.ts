import type { Clock } from './clock.ts';

/** A moment on both clocks of a process. */
export interface Instant {
  readonly wallMs: number;
  readonly monotonicMs: number;
}

export function instantOf(clock: Clock): Instant {
  return { wallMs: clock.now(), monotonicMs: clock.monotonic() };
}

/** By the clock that ran further: the wall clock goes on while a machine is suspended, the other cannot be set back. */
export function elapsedMs(clock: Clock, { wallMs, monotonicMs }: Instant): number {
  return Math.max(clock.now() - wallMs, clock.monotonic() - monotonicMs);
}
