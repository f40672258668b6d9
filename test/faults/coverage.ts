import type { PlannedFault } from './plan.ts';
import type { StateName } from './states.ts';

/** Which faults met which states, over any number of runs. */
export class Coverage {
  readonly pairs = new Map<string, number>(); // `fault state` -> how often
  readonly states = new Map<StateName, number>(); // how often one was entered

  saw(state: StateName): void {
    this.states.set(state, (this.states.get(state) ?? 0) + 1);
  }

  hit(fault: PlannedFault['fault'], present: readonly StateName[]): void {
    for (const state of present) {
      const pair = `${fault} ${state}`;
      this.pairs.set(pair, (this.pairs.get(pair) ?? 0) + 1);
    }
  }

  add({ pairs, states }: CoverageData): void {
    for (const [pair, count] of pairs) this.pairs.set(pair, (this.pairs.get(pair) ?? 0) + count);
    for (const [state, count] of states) this.states.set(state, (this.states.get(state) ?? 0) + count);
  }

  toData(): CoverageData {
    return { pairs: [...this.pairs], states: [...this.states] };
  }
}

/** As it travels between processes. */
export interface CoverageData {
  readonly pairs: readonly (readonly [string, number])[];
  readonly states: readonly (readonly [StateName, number])[];
}
