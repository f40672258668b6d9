import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Plan } from './plan.ts';

/** Plans that once broke an invariant, or that meet what few random plans meet; `npm run test:faults -- --replay FILE` tells one. */
const FOLDER = join(import.meta.dirname, 'regressions');

export function namesOfKeptPlans(): readonly string[] {
  return readdirSync(FOLDER).map((file) => file.replace(/\.json$/, ''));
}

export function pathOfKeptPlan(name: string): string {
  return join(FOLDER, `${name}.json`);
}

export function keptPlan(name: string): Plan {
  return JSON.parse(readFileSync(pathOfKeptPlan(name), 'utf8')) as Plan;
}
