/** One number that was measured. */
export interface Figure {
  readonly name: string;
  readonly unit: 'us' | 'ms' | 's' | 'MiB' | 'bytes' | 'pods/s' | 'ratio';
  readonly value: number;
}
