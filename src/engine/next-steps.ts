import { claimSteps } from './claims.ts';
import { contradictionSteps } from './contradictions.ts';
import { displacementSteps } from './displacement.ts';
import { admissionSteps } from './queue.ts';
import { retentionSteps } from './retention.ts';
import { returnSteps } from './return.ts';
import { Steps, type World } from './steps.ts';

/**
 * Everything that has to be written now to bring the cluster nearer to where it should be. Pure and level-triggered: it
 * looks at the world, not at what happened, so it goes on after a crash wherever the records stand.
 */
export function nextSteps(world: World): Steps {
  const steps = new Steps();
  contradictionSteps(world, steps);
  displacementSteps(world, steps);
  retentionSteps(world, steps);
  claimSteps(world, steps);
  returnSteps(world, steps);
  admissionSteps(world, steps);
  return steps;
}
