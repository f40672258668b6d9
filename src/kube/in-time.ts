import { sleep, type Clock } from '../ports/clock.ts';

/** The answer, or a rejection with `message` when it has not come within that time: a request that hangs must not hold up the next one. */
export async function answeredWithin<T>(clock: Clock, ms: number, answer: Promise<T>, message: string): Promise<T> {
  const answered = new AbortController();
  const first = answer.finally(() => answered.abort());
  const late = sleep(clock, ms, answered.signal).then(
    () => Promise.reject(new Error(message)),
    () => first,
  );
  return Promise.race([first, late]);
}

/** The same for a request that can be taken back: `late` is aborted when no answer has come. */
export async function askedWithin<T>(
  clock: Clock,
  ms: number,
  ask: (late: AbortSignal) => Promise<T>,
  message: string,
): Promise<T> {
  const late = new AbortController();
  try {
    return await answeredWithin(clock, ms, ask(late.signal), message);
  } catch (error) {
    late.abort(error);
    throw error;
  }
}
