import type { Pod } from '../../domain/pod.ts';
import type { Ticket } from '../../domain/ticket.ts';
import type { Steps, World } from '../core/steps.ts';
import { replacePod } from './outcomes.ts';

/** Longer than an agent is away for an upgrade. */
const SILENT_AGENT_MS = 60_000;
/**
 * Kubernetes says of a node that is cut off that it is not Ready 50 s after its last word (`node-monitor-grace-period`), and looks every
 * 5 s; an agent is silent 40 s after its own, which came at most 10 s earlier.
 */
const CUT_OFF_SEEN_MS = 30_000;

/**
 * Replaces a pod whose sandbox waits for an agent that does not answer. Returns whether that is so: on a node that is not Ready the kubelet
 * does not answer either, and the pod may have been restored.
 */
export function stepSilentAgent({ view, nowMs }: World, ticket: Ticket, pod: Pod, steps: Steps): boolean {
  const on = pod.nodeName === null ? undefined : view.node(pod.nodeName)?.node;
  if (on?.agentSilent !== true || !on.ready) return false;
  const replacedAtMs = ticket.phaseMs + SILENT_AGENT_MS;
  if (nowMs < replacedAtMs) {
    steps.lookAgainAt(replacedAtMs);
    return true;
  }
  const message = `the agent of ${on.name} does not answer: pod ${pod.name} is replaced`;
  replacePod(ticket, pod, 'AgentSilent', message, steps);
  return true;
}

/**
 * The agent of its node fell silent, and the node may be cut off: then the pod may run there, and its deletion would kill it when the
 * node is back. Such a pod is left to Kubernetes, which evicts it (`node.kubernetes.io/unreachable`), or to its own report.
 */
export function mayRunUnseen({ view, nowMs }: World, ticket: Ticket, pod: Pod, steps: Steps): boolean {
  const { nodeName } = pod;
  const isOfSilentAgent = ticket.replacedPods.some((one) => one.pod === pod.uid && one.reason === 'AgentSilent');
  if (!isOfSilentAgent || nodeName === null) return false;
  const seenMs = ticket.phaseMs + CUT_OFF_SEEN_MS;
  if (nowMs < seenMs) steps.lookAgainAt(seenMs);
  return nowMs < seenMs || view.node(nodeName)?.node.ready === false;
}
