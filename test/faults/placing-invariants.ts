/** For whom nodes are emptied, where pods are admitted, and what is said of pods that the API server refuses. */
import { preemptionIn } from '../support/preemption.ts';
import { ON_FAILURE_ANNOTATION } from '../../src/domain/labels.ts';
import { whyUnfit } from '../../src/domain/toleration.ts';
import { DEFAULT_ENGINE_SETTINGS } from '../../src/engine/core/steps.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import type { KubeObject } from '../../src/kube/transport.ts';
import { matchesRequired } from '../../src/sim/scheduler/node-affinity.ts';
import { podInfoOf } from '../../src/sim/scheduler/pod-info.ts';
import {
  behindMs,
  checkpointNamed,
  evictionBegun,
  exists,
  isBeingUndone,
  isCalm,
  isGated,
  podWith,
  ticketCreated,
  ticketOfVictim,
  tickets,
  type Invariant,
} from './evidence.ts';
import { isGoingOrGone, type PreemptAnswer, type PreemptQuestion } from './answers.ts';
import { checkpointOf, nodeOf, podOf } from './parsed.ts';
import type { Truth } from './truth.ts';

/** The controller asks again every ten seconds, each replica has to see it twice, and then asks the API server. */
const ASIDE_MS = 90_000;
/** Of a refusal, until the ticket tells of it. */
const SAID_MS = 45_000;
/** Where the webhook is not asked (`deploy/webhook.yaml`). */
const OUT_OF_SCOPE = 'kube-system';

export const PLACING_INVARIANTS = {
  'nobody is evicted for a preemptor that cannot run there': (truth, seen) => {
    const victim = evictionBegun(truth, seen);
    if (victim === null || !victim.by.startsWith('reprieve')) return null;
    const ticket = ticketOfVictim(truth, victim.uid);
    if (ticket === undefined || truth.isOver(ticket.displacement) || isBeingUndone(truth, ticket)) return null;
    const { preemptor, node } = preemptionIn(ticket.displacement);
    const pod = podWith(truth, preemptor.uid);
    const changedMs = truth.nodesChangedMs.get(node) ?? 0;
    if (pod === undefined || truth.world.elapsedMs - changedMs < behindMs(truth)) return null;
    const raw = truth.world.api.list(RESOURCES.nodes).find(({ metadata }) => metadata.name === node);
    if (raw === undefined || suits(raw, pod)) return null;
    return `${victim.name} was deleted for ${preemptor.name}, which may not run on ${node} since ${changedMs} ms`;
  },

  'a node that was emptied in vain is not emptied again at once': (truth, seen) => {
    if (seen.kind === 'opened') {
      const { preemptor, node } = preemptionIn(seen.displacement);
      return emptiedInVain(truth, seen.by, preemptor, node);
    }
    if (seen.kind !== 'answer' || seen.verb !== 'preempt' || seen.answer.status !== 200) return null;
    // A pod that is bound and does not run yet is not saved: kube-scheduler evicts it by this answer.
    const preemptor = (JSON.parse(seen.body) as PreemptQuestion).Pod.metadata;
    for (const node of nodesToEmpty(truth, seen.answer.body)) {
      const broken = emptiedInVain(truth, seen.by, preemptor, node);
      if (broken !== null) return broken;
    }
    return null;
  },

  'nobody is admitted where no node may take it': (truth, seen) => {
    if (seen.kind !== 'write' || seen.write.kind !== RESOURCES.pods || seen.write.type !== 'MODIFIED') return null;
    const { object, previous, by } = seen.write;
    if (!isGated(previous) || isGated(object) || by?.user.startsWith('reprieve') !== true) return null;
    const pod = podOf(object);
    const ticket = tickets(truth).find(({ name, claim }) => name === pod.ticket && claim?.uid === pod.uid);
    const maxGateMs = truth.world.plan.settings.maxGateMs ?? DEFAULT_ENGINE_SETTINGS.maxGateMs;
    const isExpired = pod.gateExpired || truth.world.clock.now() - pod.creationMs >= maxGateMs - 1_000;
    if (ticket === undefined || isExpired) return null;
    const nodes = truth.world.api.list(RESOURCES.nodes);
    const isFresh = ({ metadata }: KubeObject): boolean =>
      truth.world.elapsedMs - (truth.nodesChangedMs.get(metadata.name) ?? 0) < behindMs(truth);
    if (
      nodes.some((node) => suits(node, object) || isFresh(node)) ||
      truth.nodeGoneMs > truth.world.elapsedMs - behindMs(truth)
    )
      return null;
    return `${pod.name} is admitted, and no node may take it`;
  },

  'a controller can create its pods': (truth, seen) => {
    if (seen.kind !== 'second' || !isCalm(truth)) return null;
    const { elapsedMs, until } = truth.world;
    if (elapsedMs >= until.classRefused) return null;
    for (const { what, isByClass, firstMs, lastMs } of truth.creations.all())
      if (isByClass && elapsedMs - firstMs > ASIDE_MS && elapsedMs - lastMs < 15_000)
        return `${what} can create no pod for ${elapsedMs - firstMs} ms: each has our RuntimeClass, and is refused`;
    return null;
  },

  'a ticket says that its pod is refused': (truth, seen) => {
    if (seen.kind !== 'second' || !isCalm(truth)) return null;
    for (const { name, owner, claim, phase, phaseMs, pod, namespace, said } of tickets(truth)) {
      if (phase !== 'Waiting' || owner !== null || claim !== null || exists(truth, pod.uid)) continue;
      const refused = truth.creations.ofBarePod(namespace, pod.name);
      const sinceMs = Math.max(refused?.firstMs ?? Infinity, phaseMs - truth.world.startMs);
      if (refused === undefined || truth.world.elapsedMs - sinceMs < SAID_MS || said.reason === 'Refused') continue;
      return `${name} says ${said.reason}, and the API server has refused ${pod.name} since ${refused.firstMs} ms`;
    }
    return null;
  },

  'nobody is saved where the webhook does not look': (truth, seen) => {
    const ticket = ticketCreated(seen);
    if (ticket === null || ticket.by !== truth.holder || ticket.owner === null) return null;
    return ticket.namespace === OUT_OF_SCOPE
      ? `${ticket.pod.name} of ${ticket.namespace} is to be saved, and the webhook reviews no pod there`
      : null;
  },
} as const satisfies Record<string, Invariant>;

/** Nodes in an answer to `preempt` of which a victim still runs. */
function nodesToEmpty(truth: Truth, answer: string): readonly string[] {
  const { NodeNameToMetaVictims: victims } = (JSON.parse(answer) ?? {}) as PreemptAnswer;
  return Object.entries(victims ?? {}).flatMap(([node, on]) =>
    (on?.Pods ?? []).some((pod) => !isGoingOrGone(podWith(truth, pod?.UID))) ? [node] : [],
  );
}

function emptiedInVain(
  truth: Truth,
  by: string,
  preemptor: { readonly uid: string; readonly name: string },
  node: string,
): string | null {
  const before = truth.inVain.get(`${preemptor.uid} ${node}`);
  if (before === undefined || before.by !== by || before.atMs < truth.leadingSinceMs) return null;
  const sinceMs = truth.world.elapsedMs - before.atMs;
  // The first time may have been bad luck, such as another pod that came first: the answer that notices it may choose it again.
  if (before.times === 1 && sinceMs === 0) return null;
  const leastMs = truth.world.plan.settings.retryNodeAfterMs ?? DEFAULT_ENGINE_SETTINGS.retryNodeAfterMs;
  return sinceMs < leastMs - 1_000
    ? `${node} is to be emptied for ${preemptor.name}, which was not bound there ${sinceMs} ms ago`
    : null;
}

function suits(raw: KubeObject, pod: KubeObject): boolean {
  return whyUnfit(nodeOf(raw), podOf(pod).tolerations) === null && matchesRequired(podInfoOf(pod), raw);
}

/** A pod that may start cold, and requires a compatibility class that no node has: what it waits for never comes. */
export function waitsForNobody(truth: Truth, object: KubeObject): string | null {
  const pod = podOf(object);
  const ticket = tickets(truth).find(({ name, claim }) => name === pod.ticket && claim?.uid === pod.uid);
  if (ticket?.phase !== 'Admitted' || pod.nodeName !== null || pod.gateExpired) return null;
  if (object.metadata.annotations?.[ON_FAILURE_ANNOTATION] === 'Hold') return null;
  const raw = checkpointNamed(truth, ticket.checkpoint);
  const compatibility = raw === undefined ? null : checkpointOf(raw).compatibility;
  const nodes = truth.world.api.list(RESOURCES.nodes);
  if (compatibility === null || nodes.some((node) => nodeOf(node).compatibility === compatibility)) return null;
  return nodes.some((node) => matchesRequired(podInfoOf(object), node))
    ? null
    : `pod ${pod.name} waits for a node of ${compatibility}, and there is none`;
}
