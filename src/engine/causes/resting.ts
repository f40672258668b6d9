import type { Cause } from '../../domain/displacement.ts';
import type { CloseReason } from '../displace/close-reasons.ts';
import type { CauseRules } from './cause-rules.ts';

/** `onEnding` of a cause that is proposed again: pods whose displacement failed rest before. `unfailed`: endings that are no failure. */
export function restUnless(unfailed: ReadonlySet<CloseReason>): CauseRules<Cause>['onEnding'] {
  return ({ rests, settings }, { pods }, because) => {
    for (const { uid } of pods) {
      if (unfailed.has(because)) rests.forget(uid);
      else rests.failed(uid, because, settings.retryNodeAfterMs);
    }
  };
}
