import type { SubjectKind } from '../core/next-steps.ts';
import type { Steps, World } from '../core/steps.ts';
import { stepByHand } from './by-hand.ts';

/** How much a proposer may ask for at a time. */
export interface ProposerBudget {
  /** Pods of one node that are saved for it at the same time. */
  readonly podsOfNode: number;
}

/** A step that proposes displacements. Its budget is none of a PodDisruptionBudget, which holds as well. */
interface Proposer {
  readonly of: SubjectKind;
  readonly step: (world: World, key: string, steps: Steps, budget: ProposerBudget) => void;
  readonly budget: ProposerBudget;
}

/** In order: of two that propose one pod in the same pass, the earlier one has it. */
export const PROPOSERS: readonly Proposer[] = [
  // The disk of a node saves one pod after the other, and the next one is ready.
  { of: 'wishes', step: stepByHand, budget: { podsOfNode: 2 } },
];
