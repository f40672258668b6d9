/** What a figure must be for the program to be as good as it is meant to be. */
export interface Goal {
  readonly what: string;
  readonly value: number;
  readonly atMost: number;
}

/** Measured values by what they are of. All of one name have one unit. */
export class Figures {
  readonly #values = new Map<string, number[]>();

  add(name: string, value: number): void {
    const values = this.#values.get(name) ?? [];
    this.#values.set(name, [...values, value]);
  }

  addAll(prefix: string, values: Readonly<Record<string, number>>): void {
    for (const [name, value] of Object.entries(values)) this.add(`${prefix}${name}`, value);
  }

  mean(name: string): number {
    const values = this.#values.get(name);
    if (values === undefined) throw new Error(`nothing was measured of: ${name}`);
    return values.reduce((sum, value) => sum + value, 0) / values.length;
  }

  /** One line: mean, lowest and highest value, and how often the mean holds that of `reference`. */
  row(name: string, label: string, reference?: string): void {
    const values = this.#values.get(name) ?? [];
    const ratio = reference === undefined ? '' : (this.mean(name) / this.mean(reference)).toFixed(2);
    line(label, figure(this.mean(name)), `${figure(Math.min(...values))}..${figure(Math.max(...values))}`, ratio);
  }
}

export function heading(title: string, unit: string): void {
  process.stdout.write('\n');
  line(`${title}, ${unit}`, 'mean', 'spread', 'ratio');
}

/** Prints each goal with what was reached. */
export function printGoals(goals: readonly Goal[]): void {
  process.stdout.write('\n');
  for (const { what, value, atMost } of goals) {
    const verdict = value <= atMost ? 'reached' : 'missed ';
    process.stdout.write(`${verdict}  ${what}: ${value.toFixed(2)}, at most ${atMost}\n`);
  }
  const reached = goals.filter(({ value, atMost }) => value <= atMost).length;
  process.stdout.write(`bench:node: ${reached} of ${goals.length} goals reached\n`);
}

function figure(value: number): string {
  return value < 10 ? value.toFixed(2) : value.toFixed(0);
}

function line(label: string, mean: string, spread: string, ratio: string): void {
  process.stdout.write(`${label.padEnd(64)}${mean.padStart(8)}${spread.padStart(16)}${ratio.padStart(8)}\n`);
}
