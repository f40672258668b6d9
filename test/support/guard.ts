import { DEFAULT_COST_MODEL } from '../../src/domain/victim-cost.ts';
import type { GuardRequest, GuardVerdict } from '../../src/engine/guard/guard-request.ts';
import { guard } from '../../src/engine/guard/guard.ts';
import { openProposals } from '../../src/engine/propose/proposal.ts';
import type { TestWorld } from './world.ts';

interface Asking {
  /** kube-scheduler has been told that evicting the pod unsaved costs less; default false. */
  readonly isCheaper?: boolean;
  /** Default true. */
  readonly leads?: boolean;
}

/** Asks the guard over what a test has put into the world. Displacements are named d1, d2, ... */
export function askGuard(
  world: TestWorld,
  request: GuardRequest,
  { isCheaper = false, leads = true }: Asking = {},
): GuardVerdict {
  const opening = {
    view: world.index,
    book: world.book,
    clock: { now: () => world.nowMs },
    costs: DEFAULT_COST_MODEL,
    newDisplacementId: () => `d${world.book.size + 1}`,
    events: { emit: () => {} },
  };
  return guard(request, {
    view: world.index,
    world: leads ? world.world() : null,
    isSynced: true,
    asked: world.asked,
    isCheaper: () => isCheaper,
    open: (proposal) => openProposals([proposal], opening),
  });
}
