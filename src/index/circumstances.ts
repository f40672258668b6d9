import type { Circumstances } from '../domain/protection.ts';
import type { ClusterView } from './types.ts';

/** What decides about every pod alike whether it is protected. Where one of these changes, the view gives another array of policies. */
export function circumstancesIn(
  view: Pick<ClusterView, 'webhookReach' | 'pausedFor' | 'hasRuntimeClass'>,
): Circumstances {
  return {
    reach: view.webhookReach(),
    isPaused: view.pausedFor() !== null,
    hasRuntimeClass: view.hasRuntimeClass(),
  };
}
