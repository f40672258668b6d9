/** Something to time. */
export interface Sample {
  readonly name: string;
  readonly run: () => void;
}

export interface Measured {
  readonly name: string;
  /** Microseconds a run. */
  readonly p50: number;
  readonly p99: number;
}

const WARM_UP = 200;
const RUNS = 1000;

/** Times the samples in turn, A B C A B C ..., so that a machine that slows down slows all of them down. */
export function measure(samples: readonly Sample[]): readonly Measured[] {
  for (let round = 0; round < WARM_UP; round++) for (const { run } of samples) run();
  const times = samples.map(() => new Float64Array(RUNS));
  for (let round = 0; round < RUNS; round++) {
    for (const [position, { run }] of samples.entries()) {
      const start = performance.now();
      run();
      (times[position] as Float64Array)[round] = (performance.now() - start) * 1000;
    }
  }
  return samples.map(({ name }, position) => {
    const sorted = (times[position] as Float64Array).toSorted();
    const at = (share: number): number => Math.round(sorted[Math.floor(share * (RUNS - 1))] as number);
    return { name, p50: at(0.5), p99: at(0.99) };
  });
}
