import type { DisplacementFor, EvictionCause } from '../../domain/displacement.ts';
import type { Steps, World } from '../core/steps.ts';
import { WAYS } from '../guard/ways.ts';
import { budgetRefusal } from '../guard/eviction.ts';
import type { CauseRules, Ending } from './cause-rules.ts';
import { restUnless } from './resting.ts';

/**
 * Somebody else is about to delete or evict the pod, such as a kube-scheduler that does not ask our extender, or `kubectl drain`, and is told to wait until it is
 * saved (`engine/guard`). That request deletes the pod: Reprieve itself evicts nobody for it.
 */
export const EVICTION: CauseRules<EvictionCause> = {
  rank: -1,
  // What leaves the node was chosen elsewhere: it is in nobody's way who does not want the same pod.
  wantsNode: false,
  ending: (world, displacement, steps) => whyNotRepeated(world, displacement, steps) ?? whyRefused(world, displacement),
  whileOpen: () => {},
  inVain: () => null,
  afterGone: (_world, displacement, steps) => {
    steps.close(displacement, 'Gone', 'the request that waited has deleted its pod');
  },
  // It is opened anew as soon as somebody asks.
  onEnding: restUnless(new Set(['Gone', 'NotRepeated', 'BudgetForbids', 'Paused'])),
  disruption: null,
  say: {
    purpose: ({ by, requester }) => `before ${requester} ${by === 'Eviction' ? 'evicts' : 'deletes'} it`,
    subject: ({ by, requester }) => `the ${by === 'Eviction' ? 'eviction' : 'deletion'} by ${requester}`,
    whyPodsStay: () => null,
  },
};

/** Others have used up the budget of the pod: kube-apiserver would refuse the eviction now, however long the pod stays frozen. */
function whyRefused({ view }: World, { cause, pods }: DisplacementFor<EvictionCause>): Ending | null {
  if (cause.by !== 'Eviction') return null;
  for (const victim of pods) {
    const pod = view.podOf(victim);
    const refusal = pod === undefined || pod.deletionMs !== null ? null : budgetRefusal(view, pod);
    if (refusal !== null) return { because: 'BudgetForbids', message: refusal.message };
  }
  return null;
}

/** Whoever asked was told to ask again. Nobody does: the request was given up, and the pod goes on. */
function whyNotRepeated(
  { view, asked, nowMs, steadyMs, actingSinceMs }: World,
  { cause, pods }: DisplacementFor<EvictionCause>,
  steps: Steps,
): Ending | null {
  const { repeatedWithinMs, isBorneOut } = WAYS[cause.by];
  for (const victim of pods) {
    const pod = view.podOf(victim);
    if (pod === undefined || pod.deletionMs !== null) continue;
    const node = view.node(victim.node)?.node;
    const askedMs = asked.lastMs(victim.uid);
    // What another leader was asked is asked again; until then the index must show that somebody is about to delete the pod.
    if (askedMs === null && (node === undefined || !isBorneOut(pod, node)))
      return { because: 'RecordsConflict', message: `nobody is about to delete ${pod.namespace}/${pod.name}` };
    const lastMs = Math.max(actingSinceMs, askedMs === null ? -Infinity : nowMs - (steadyMs - askedMs));
    const endsMs = Math.ceil(lastMs) + repeatedWithinMs;
    if (nowMs >= endsMs)
      return { because: 'NotRepeated', message: `nobody asks any more to delete ${pod.namespace}/${pod.name}` };
    steps.lookAgainAt(endsMs);
  }
  return null;
}
