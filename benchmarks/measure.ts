/** Something to time. */
export interface Sample {
  readonly name: string;
  readonly run: () => void | Promise<void>;
}

/** Microseconds a run. */
export interface Measured {
  readonly name: string;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** Times the samples in turn, A B C A B C ..., so that a machine that slows down slows all of them down. */
export async function measure(
  samples: readonly Sample[],
  { warmUp, runs }: { readonly warmUp: number; readonly runs: number },
): Promise<readonly Measured[]> {
  const times = samples.map(() => new Float64Array(runs));
  for (let round = -warmUp; round < runs; round++) {
    for (const [position, { run }] of samples.entries()) {
      const start = performance.now();
      const running = run();
      if (running !== undefined) await running;
      if (round >= 0) (times[position] as Float64Array)[round] = (performance.now() - start) * 1000;
    }
  }
  return samples.map(({ name }, position) => {
    const sorted = (times[position] as Float64Array).toSorted();
    const at = (share: number): number => Math.round(sorted[Math.floor(share * (runs - 1))] as number);
    return { name, p50: at(0.5), p99: at(0.99), max: at(1) };
  });
}
