/**
 * Does several things at the same time; when one fails or the signal aborts, the others are told to stop. Settles only
 * when all have, so that nothing goes on behind the caller's back. Rejects with the first failure.
 */
export async function together(
  signal: AbortSignal | undefined,
  tasks: readonly ((signal: AbortSignal) => Promise<void>)[],
): Promise<void> {
  const abort = new AbortController();
  const all = signal === undefined ? abort.signal : AbortSignal.any([signal, abort.signal]);
  const failures: unknown[] = [];
  await Promise.all(
    tasks.map((task) =>
      task(all).catch((error: unknown) => {
        failures.push(error);
        abort.abort(error);
      }),
    ),
  );
  if (failures.length > 0) throw failures[0];
}
