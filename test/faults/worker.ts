/** Plays the plans of the seeds it is sent, for `run.ts`. */
import { drawPlan } from './plan.ts';
import { play, type Outcome } from './play.ts';

process.on('message', (seed: number) => {
  void play(drawPlan(seed)).then((outcome: Outcome) => process.send?.(outcome));
});
