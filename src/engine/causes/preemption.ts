import type { Preemption, PreemptionCause } from '../../domain/displacement.ts';
import { isTerminal, wantsRoom, type Pod } from '../../domain/pod.ts';
import { whyExcluded } from '../../domain/node-fit.ts';
import { WATCH_LAG_MS, type Steps, type World } from '../core/steps.ts';
import { whyNoLongerFits } from '../preemption/still-fits.ts';
import type { CauseRules, Ending } from './cause-rules.ts';

/**
 * kube-scheduler asked for room on a node ("The life of one preempt call" in ARCHITECTURE.md). The pod that needs the room is
 * nominated while the victims are saved, is bound once they are gone, and is woken if kube-scheduler missed that.
 */
export const PREEMPTION: CauseRules<PreemptionCause> = {
  rank: 0,
  wantsNode: true,
  ending: (world, displacement, steps) => {
    const preemptor = world.view.pod(displacement.cause.preemptor.uid);
    return (
      whyNotNeeded(world, displacement, preemptor, steps) ??
      whyNotHere(world, displacement, preemptor) ??
      whyNotAllowed(world, displacement, preemptor)
    );
  },
  whileOpen: ({ view }, { cause }, steps) => {
    const preemptor = view.pod(cause.preemptor.uid);
    // The API server refuses the nomination of a pod that is bound, and wants to grow.
    if (preemptor?.nodeName === null && preemptor.nominatedNodeName !== cause.node)
      steps.do({ kind: 'Nominate', pod: preemptor, node: cause.node });
  },
  inVain: ({ view }, { cause: { preemptor: ref, node }, pods }) => {
    const preemptor = view.pod(ref.uid);
    const on = view.node(node);
    if (preemptor === undefined || on === undefined) return null;
    const why = whyNoLongerFits(view, preemptor, on, new Set(pods.map(({ uid }) => uid)));
    return why === null ? null : { because: 'NoLongerFits', message: `node ${node} ${why}` };
  },
  afterGone,
  onEnding: ({ view, wakes, settings }, { cause, pods }, because) => {
    const preemptor = view.pod(cause.preemptor.uid);
    if (preemptor === undefined || !wantsRoom(preemptor)) return;
    if (because === 'CheckpointFailed' || because === 'DeadlineExceeded' || because === 'EvictionRefused') {
      const saved = pods.filter(({ plan }) => plan !== 'Evict').map(({ uid }) => uid);
      wakes.refuse(preemptor.uid, cause.node, settings.retryNodeAfterMs, { kind: 'NotSaved', victims: saved });
    }
    // kube-scheduler offers the node again as soon as it may evict pods there, also where another extender keeps the preemptor off.
    if (because === 'NotBound' || because === 'NoLongerFits')
      wakes.refuse(preemptor.uid, cause.node, settings.retryNodeAfterMs, { kind: because });
    // kube-scheduler still waits for the victims to leave, and reserves capacity on the node for the preemptor.
    wakes.hold(preemptor.uid, [cause.node], 'now');
  },
  disruption: () => ({
    // As kube-scheduler writes it itself (Kubernetes, pkg/scheduler/framework/preemption): Job controllers know this reason.
    reason: 'PreemptionByScheduler',
    message: 'default-scheduler: preempting to accommodate a higher priority pod',
  }),
  say: {
    purpose: ({ preemptor }) => `for ${preemptor.namespace}/${preemptor.name}`,
    subject: ({ preemptor }) => `the preemption by ${preemptor.namespace}/${preemptor.name}`,
    whyPodsStay: () => null,
  },
};

function whyNotNeeded(world: World, displacement: Preemption, preemptor: Pod | undefined, steps: Steps): Ending | null {
  const { nowMs, actingSinceMs, podsSinceMs } = world;
  const { cause } = displacement;
  const decidedMs = decidedByOurClock(world, displacement);
  // kube-scheduler's watch may be ahead of ours: a preemptor that was just decided for may still be on its way to us.
  const seenByMs = Math.max(decidedMs > nowMs ? -Infinity : decidedMs, actingSinceMs, podsSinceMs) + WATCH_LAG_MS;
  if (preemptor === undefined && nowMs < seenByMs) {
    steps.lookAgainAt(seenByMs);
    return null;
  }
  if (preemptor === undefined || isTerminal(preemptor) || preemptor.deletionMs !== null) {
    return { because: 'PreemptorGone', message: 'the preemptor is gone' };
  }
  if (preemptor.nodeName === cause.node && isGrowing(preemptor, { nowMs, decidedMs, steps })) return null;
  if (preemptor.nodeName === cause.node) return { because: 'Bound', message: `bound to ${cause.node}` };
  if (preemptor.nodeName !== null) return { because: 'BoundElsewhere', message: `bound to ${preemptor.nodeName}` };
  return null;
}

/**
 * A decision that lies ahead was made by a leader whose clock is ahead of ours, or ours was set back since. It would seem new for as
 * long as the clocks differ, so it counts as made when this process began to act.
 */
function decidedByOurClock({ nowMs, actingSinceMs }: World, { decidedMs }: Preemption): number {
  return decidedMs > nowMs ? actingSinceMs : decidedMs;
}

/**
 * A pod that was bound before kube-scheduler asked for it waits for a resize that its node cannot give it yet (KEP-5836). The watch
 * may bring the condition that says so after the question.
 */
function isGrowing(
  preemptor: Pod,
  { nowMs, decidedMs, steps }: { readonly nowMs: number; readonly decidedMs: number; readonly steps: Steps },
): boolean {
  if (preemptor.resizeDeferred) return true;
  // Times of a pod are whole seconds of the clock of its node.
  if (preemptor.startMs === null || preemptor.startMs > decidedMs - WATCH_LAG_MS) return false;
  const seenByMs = decidedMs + WATCH_LAG_MS;
  if (nowMs < seenByMs) steps.lookAgainAt(seenByMs);
  return nowMs < seenByMs;
}

/**
 * The node does not accept the preemptor any more: no further victim is evicted. Victims whose deletion has begun come back by
 * their tickets, so nothing is lost if kube-scheduler binds the preemptor here after all.
 */
function whyNotHere({ view }: World, { cause: { node } }: Preemption, preemptor: Pod | undefined): Ending | null {
  const on = view.node(node);
  if (on === undefined) return { because: 'NodeGone', message: `node ${node} no longer exists` };
  // What the preemptor asks of nodes is unknown until it is in the index. No victim is evicted before that.
  const unfit = preemptor === undefined ? null : whyExcluded(on.node, preemptor);
  return unfit === null ? null : { because: 'NodeUnfit', message: `node ${node} ${unfit}` };
}

/**
 * The records are at odds with the index: kube-scheduler would not ask for such a pod, or they would have us evict one that is not less
 * important.
 */
function whyNotAllowed({ view }: World, { cause, pods }: Preemption, preemptor: Pod | undefined): Ending | null {
  if (preemptor === undefined) return null;
  const conflict = (message: string): Ending => ({ because: 'RecordsConflict', message });
  const { namespace, name, uid: named } = cause.preemptor;
  if (preemptor.namespace !== namespace || preemptor.name !== name)
    return conflict(`the pod ${named} is not ${namespace}/${name}`);
  if (preemptor.gates.length > 0) return conflict(`${name} has a scheduling gate`);
  if (preemptor.preemptionPolicy === 'Never') return conflict(`${name} preempts no pod`);
  for (const { uid } of pods) {
    const pod = view.pod(uid);
    if (pod !== undefined && pod.priority >= preemptor.priority)
      return conflict(`${pod.name} is not less important than ${name}`);
  }
  return null;
}

/** All victims have left: kube-scheduler binds the preemptor in milliseconds, unless the wake-up was lost or the room was. */
function afterGone(world: World, displacement: Preemption, steps: Steps): void {
  const { preemptor: ref, node } = displacement.cause;
  const { bindGraceMs } = world.settings;
  const emptiedMs = world.book.emptiedAt(displacement);
  if (emptiedMs === undefined) {
    steps.emptied.push(displacement);
    steps.lookAgainAt(world.nowMs + bindGraceMs);
    return;
  }
  const preemptor = world.view.pod(ref.uid);
  const waitedMs = world.steadyMs - emptiedMs;
  if (waitedMs >= 12 * bindGraceMs) {
    steps.close(displacement, 'NotBound', 'its victims are gone, and it was not bound: kube-scheduler may ask again');
  } else if (waitedMs >= bindGraceMs) {
    // The kubelet resizes a pod as soon as there is room, without kube-scheduler.
    if (preemptor?.nodeName === null) steps.do({ kind: 'Wake', pod: preemptor, node });
    steps.lookAgainAt(world.nowMs + bindGraceMs);
  } else {
    steps.lookAgainAt(world.nowMs + Math.ceil(bindGraceMs - waitedMs));
  }
}
