import type { ManualCause, ManualDisplacement } from '../../domain/displacement.ts';
import type { World } from '../core/steps.ts';
import type { CauseRules, Ending } from './cause-rules.ts';
import { restUnless } from './resting.ts';

/** A person asked for it: the pod is saved and evicted for as long as the annotation says so, and nobody waits for its room. */
export const MANUAL: CauseRules<ManualCause> = {
  rank: 1,
  wantsNode: true,
  ending: whyNotAsked,
  whileOpen: () => {},
  inVain: () => null,
  afterGone: (_world, displacement, steps) => {
    steps.close(displacement, 'Moved', 'its pod has left the node');
  },
  onEnding: restUnless(new Set(['Moved', 'Paused'])),
  disruption: ({ cause }) => ({
    reason: 'DisplacedByHand',
    message: `Reprieve: saved, and moved off its node: ${cause.why}`,
  }),
  say: {
    purpose: ({ why }) => `by hand: ${why}`,
    subject: () => 'the displacement by hand',
    whyPodsStay: ({ because, message }) => (because === 'Moved' ? null : message),
  },
};

/** Whoever may write tickets could name any pod: only the annotation, which whoever may write pods gives, moves one. */
function whyNotAsked({ view }: World, { cause, pods }: ManualDisplacement): Ending | null {
  for (const victim of pods) {
    const { node } = victim;
    const pod = view.podOf(victim);
    if (pod === undefined || pod.deletionMs !== null || pod.nodeName !== node) continue;
    const on = view.node(node)?.node;
    if (on === undefined) return { because: 'NodeGone', message: `node ${node} no longer exists` };
    if (cause.askedOn === 'Node' && !on.unschedulable)
      return { because: 'NotAsked', message: `node ${node} is not cordoned any more` };
    const asked = cause.askedOn === 'Pod' ? pod.displaceFor : on.evacuateFor;
    if (asked !== cause.why)
      return { because: 'NotAsked', message: 'the annotation that asked for it was taken back or changed' };
  }
  return null;
}
