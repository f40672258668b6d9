import type { Clock } from '../ports/clock.ts';
import { answeredWithin } from './in-time.ts';

export interface Renewals {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Of what is renewed, for the message. */
  readonly name: string;
  /** A renewal without an answer for so long has failed. */
  readonly patienceMs: number;
  readonly renew: () => Promise<void>;
  /** The wait before the next renewal; ends early when the signal is aborted. */
  readonly pause: (hasFailed: boolean) => Promise<void>;
  /** Told of the first failure of several in a row. */
  readonly onError: (error: unknown) => void;
}

/** Renews a Lease until the signal is aborted, also after failures. Never rejects. */
export async function renewOnAndOn({ clock, signal, name, patienceMs, ...how }: Renewals): Promise<void> {
  let hasFailed = false;
  while (!signal.aborted) {
    try {
      const message = `${name} was not renewed within ${patienceMs / 1000} s`;
      await answeredWithin(clock, patienceMs, how.renew(), message);
      hasFailed = false;
    } catch (error) {
      if (!hasFailed && !signal.aborted) how.onError(error);
      hasFailed = true;
    }
    await how.pause(hasFailed);
  }
}
