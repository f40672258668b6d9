import type { DisplacementFor, EvictionCause } from '../../domain/displacement.ts';
import type { Steps, World } from '../core/steps.ts';
import { REPEATED_WITHIN_MS } from '../guard/asked.ts';
import type { CauseRules, Ending } from './cause-rules.ts';

/**
 * Somebody else is about to delete the pod, such as a kube-scheduler that does not ask our extender, and is told to wait until it is
 * saved (`engine/guard`). That request deletes the pod: Reprieve itself evicts nobody for it.
 */
export const EVICTION: CauseRules<EvictionCause> = {
  rank: -1,
  // What leaves the node was chosen elsewhere: it is in nobody's way who does not want the same pod.
  wantsNode: false,
  ending: whyNotRepeated,
  whileOpen: () => {},
  inVain: () => null,
  afterGone: (_world, displacement, steps) => {
    steps.close(displacement, 'Gone', 'the request that waited has deleted its pod');
  },
  onEnding: ({ rests, settings }, { pods }, because) => {
    for (const { uid } of pods) {
      if (because === 'Gone' || because === 'NotRepeated') rests.forget(uid);
      else rests.failed(uid, because, settings.retryNodeAfterMs);
    }
  },
  disruption: null,
  say: {
    purpose: ({ requester }) => `before ${requester} deletes it`,
    subject: ({ requester }) => `the deletion by ${requester}`,
  },
};

/** Whoever asked was told to ask again. Nobody does: the request was given up, and the pod goes on. */
function whyNotRepeated(
  { view, asked, nowMs, steadyMs, actingSinceMs }: World,
  { pods }: DisplacementFor<EvictionCause>,
  steps: Steps,
): Ending | null {
  for (const victim of pods) {
    const pod = view.podOf(victim);
    if (pod === undefined || pod.deletionMs !== null) continue;
    const askedMs = asked.lastMs(victim.uid);
    // What another leader was asked is asked again; until then the mark must show that somebody is about to delete the pod.
    if (askedMs === null && !pod.disrupted)
      return { because: 'RecordsConflict', message: `nobody is about to delete ${pod.namespace}/${pod.name}` };
    const lastMs = Math.max(actingSinceMs, askedMs === null ? -Infinity : nowMs - (steadyMs - askedMs));
    const endsMs = Math.ceil(lastMs) + REPEATED_WITHIN_MS;
    if (nowMs >= endsMs)
      return { because: 'NotRepeated', message: `nobody asks any more to delete ${pod.namespace}/${pod.name}` };
    steps.lookAgainAt(endsMs);
  }
  return null;
}
