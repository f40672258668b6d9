import type { V1Pod } from '@kubernetes/client-node';
import { formatDuration } from '../domain/duration.ts';
import {
  EXCLUDED_NODES_ANNOTATION,
  ON_FAILURE_ANNOTATION,
  OWNER_UID_LABEL,
  POD_UID_LABEL,
  RESTORE_GATE,
  RUNTIME_CLASS,
  TICKET_ANNOTATION,
} from '../domain/labels.ts';
import type { Pod } from '../domain/pod.ts';
import type { Decision, Ticket } from '../domain/ticket.ts';
import type { TicketOrder } from '../ports/cluster-writer.ts';
import { checkpointRulesIn } from './checkpoint-object.ts';
import type { ReprieveSpec } from './crd/reprieve.ts';
import { API_GROUP } from './resources.ts';
import { withoutPlacement } from './placement-affinity.ts';
import { nodeSelectorOf } from './project/node-constraints.ts';
import { podOf } from './project/pod.ts';
import { resourceListOf } from './project/resource-list.ts';
import { restoreShapeOf } from './project/restore-shape.ts';
import { serviceAccountVolumesOf } from './project/service-account-volume.ts';
import { timestampOf } from './project/time.ts';
import { wireOf } from './project/wire.ts';
import type { KubeObject } from './transport.ts';

/** The Reprieve that stores this victim: its metadata and spec, ready to be created. */
export function ticketObject(
  order: TicketOrder,
  victim: KubeObject,
): { readonly metadata: object; readonly spec: ReprieveSpec } {
  const pod = podOf(victim);
  const template = templateOf(victim);
  const nodeSelector = nodeSelectorOf(template.spec);
  const labels = { [POD_UID_LABEL]: pod.uid, ...(pod.owner && { [OWNER_UID_LABEL]: pod.owner.uid }) };
  return {
    metadata: { name: order.name, namespace: pod.namespace, labels },
    spec: {
      pod: {
        name: pod.name,
        uid: pod.uid,
        ...(pod.completionIndex !== null && { completionIndex: pod.completionIndex }),
        displacements: pod.displacements,
        template,
      },
      ...(pod.owner && { owner: pod.owner }),
      priority: pod.priority,
      requests: resourceListOf(pod.requests),
      ...(nodeSelector && { nodeSelector: nodeSelector.requirements }),
      tolerations: tolerationsIn(pod),
      restoreShape: restoreShapeOf(victim),
      decision: decisionIn(order.decision),
      checkpoint: order.planned.checkpoint,
      restore: restoreIn(order.restore),
      policy: order.policyName,
    },
  };
}

function restoreIn({ nodes, attempts, onFailure, maxWaitMs }: Ticket['restore']): ReprieveSpec['restore'] {
  return { nodes, attempts, onFailure, maxWait: formatDuration(maxWaitMs) };
}

function tolerationsIn({ tolerations }: Pod): NonNullable<ReprieveSpec['tolerations']> {
  return tolerations.map(({ key, operator, value, effect }) => ({
    ...(key !== null && { key }),
    operator,
    ...(value !== '' && { value }),
    ...(effect !== null && { effect }),
  }));
}

/** As a ticket records it. */
export function decisionIn(decision: Decision): ReprieveSpec['decision'] {
  return {
    id: decision.id,
    preemptor: decision.preemptor,
    node: decision.node,
    victims: decision.victims.map(({ namespace, name, uid, action, checkpoint, onFailure, terms }) => ({
      namespace,
      name,
      uid,
      action,
      ...(checkpoint !== null && { checkpoint }),
      onFailure,
      ...(terms !== null && {
        terms: {
          policy: terms.policy,
          maxDelay: formatDuration(terms.maxDelayMs),
          checkpoint: checkpointRulesIn(terms.checkpoint),
          restore: restoreIn(terms.restore),
        },
      }),
    })),
    numPDBViolations: decision.numPdbViolations,
    decidedAt: timestampOf(decision.decidedMs),
    deadline: timestampOf(decision.deadlineMs),
  };
}

/** Labels, annotations and spec of the pod, without what belongs to this one incarnation of it. */
function templateOf(victim: KubeObject): { readonly metadata: object; readonly spec: Record<string, unknown> } {
  const { spec = {} } = wireOf<V1Pod>(victim) as { spec?: Record<string, unknown> };
  const generated = serviceAccountVolumesOf(spec);
  const { nodeName: _node, ephemeralContainers: _debug, schedulingGates: _gates, volumes, ...rest } = spec;
  const template: Record<string, unknown> = { ...rest };
  if (victim.metadata.annotations?.[TICKET_ANNOTATION] && rest['affinity']) {
    template['affinity'] = withoutPlacement(
      rest['affinity'],
      victim.metadata.annotations[EXCLUDED_NODES_ANNOTATION]?.split(',') ?? [],
    );
  }
  if (Array.isArray(volumes)) template['volumes'] = without(volumes, generated);
  for (const field of ['containers', 'initContainers'] as const) {
    const containers = spec[field] as readonly Record<string, unknown>[] | undefined;
    if (containers !== undefined) template[field] = containers.map((container) => withoutMounts(container, generated));
  }
  const annotations = Object.entries(victim.metadata.annotations ?? {}).filter(
    ([key]) => !key.startsWith(`${API_GROUP}/`),
  );
  return {
    metadata: { labels: victim.metadata.labels ?? {}, annotations: Object.fromEntries(annotations) },
    spec: template,
  };
}

function withoutMounts(container: Record<string, unknown>, volumes: ReadonlySet<string>): Record<string, unknown> {
  const { volumeMounts, ...rest } = container;
  return Array.isArray(volumeMounts) ? { ...rest, volumeMounts: without(volumeMounts, volumes) } : rest;
}

function without(named: readonly unknown[], names: ReadonlySet<string>): readonly unknown[] {
  return named.filter((item) => !names.has((item as { readonly name?: string }).name ?? ''));
}

/** What a pod carries from the moment it claims a ticket: its node finds the ticket by it, whoever removes the gate. */
export function ticketAnnotations({ name, restore }: Ticket): Readonly<Record<string, string | null>> {
  return { [TICKET_ANNOTATION]: name, ...(restore.onFailure === 'Hold' && { [ON_FAILURE_ANNOTATION]: 'Hold' }) };
}

/** The displaced pod once more, gated, from the template in its ticket. Only bare pods need this: others have a controller. */
export function recreatedPod(ticket: Ticket, rawTicket: KubeObject): object {
  const { spec } = wireOf<{ spec: ReprieveSpec }>(rawTicket);
  const template = (spec?.pod?.template ?? {}) as {
    readonly metadata?: { readonly labels?: object; readonly annotations?: object };
    readonly spec?: Record<string, unknown>;
  };
  // What admission derives it must derive again: it refuses the overhead of another runtime class, and a priority that
  // is no longer that of the class.
  const { overhead: _overhead, priority: _priority, preemptionPolicy: _policy, ...podSpec } = template.spec ?? {};
  return {
    metadata: {
      name: ticket.pod.name,
      namespace: ticket.namespace,
      labels: template.metadata?.labels ?? {},
      annotations: { ...template.metadata?.annotations, ...ticketAnnotations(ticket) },
    },
    spec: { ...podSpec, schedulingGates: [{ name: RESTORE_GATE }], runtimeClassName: RUNTIME_CLASS },
  };
}
