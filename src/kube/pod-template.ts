import type { V1Pod, V1PodSpec } from '@kubernetes/client-node';
import {
  EXCLUDED_NODES_ANNOTATION,
  ON_FAILURE_ANNOTATION,
  RESTORE_GATE,
  RUNTIME_CLASS,
  TICKET_ANNOTATION,
} from '../domain/labels.ts';
import type { Ticket } from '../domain/ticket.ts';
import type { ReprieveSpec } from './crd/reprieve.ts';
import { givenFieldsOf, type GivenFields } from './given-fields.ts';
import { withoutPlacement } from './placement-affinity.ts';
import { picked } from './project/field-sets.ts';
import { serviceAccountVolumesOf } from './project/service-account-volume.ts';
import { wireOf, type Wire } from './project/wire.ts';
import { API_GROUP } from './resources.ts';
import type { KubeObject, ManagedFields, ObjectMeta } from './transport.ts';

/** What a bare pod is made of again, as its ticket stores it. */
export interface PodTemplate {
  readonly metadata: Pick<ObjectMeta, 'labels' | 'annotations' | 'finalizers' | 'ownerReferences' | 'managedFields'>;
  readonly spec: Readonly<Record<string, unknown>>;
}

/**
 * What the creators of the pod gave it ({@link givenFieldsOf}), and its owner references. Where nothing shows who gave what, all labels
 * and annotations and the whole spec, without what belongs to this one incarnation of the pod.
 */
export function podTemplateOf(pod: KubeObject): PodTemplate {
  const given = givenFieldsOf(pod);
  const { ownerReferences } = pod.metadata;
  return {
    metadata: {
      ...metadataOf(pod, given),
      ...(ownerReferences && ownerReferences.length > 0 && { ownerReferences }),
      ...(given && { managedFields: given.managers }),
    },
    spec: specOf(pod, given),
  };
}

type Metadata = Required<Pick<ObjectMeta, 'labels' | 'annotations'>> & Pick<ObjectMeta, 'finalizers'>;

function metadataOf({ metadata }: KubeObject, given: GivenFields | null): Metadata {
  const { labels = {}, annotations = {}, finalizers } = metadata;
  const whole = { labels, annotations };
  const kept = (
    given === null ? whole : picked({ ...whole, ...(finalizers && { finalizers }) }, { '.': {}, ...given.metadata })
  ) as Partial<Metadata>;
  const others = Object.entries(kept.annotations ?? {}).filter(([key]) => !key.startsWith(`${API_GROUP}/`));
  return { ...kept, labels: kept.labels ?? {}, annotations: Object.fromEntries(others) };
}

function specOf(pod: KubeObject, given: GivenFields | null): Record<string, unknown> {
  const whole = specWithoutPlacement(pod);
  const spec = (given === null ? whole : picked(whole, given.spec)) as Record<string, unknown>;
  const generated = serviceAccountVolumesOf(whole);
  const { nodeName: _node, ephemeralContainers: _debug, schedulingGates: _gates, volumes, ...rest } = spec;
  const template: Record<string, unknown> = { ...rest };
  if (Array.isArray(volumes)) template['volumes'] = without(volumes, generated);
  for (const field of ['containers', 'initContainers'] as const) {
    const containers = spec[field] as readonly Record<string, unknown>[] | undefined;
    if (containers !== undefined) template[field] = containers.map((container) => withoutMounts(container, generated));
  }
  return template;
}

/** The spec of a pod without the placement that Reprieve added when the pod continued an earlier ticket. */
function specWithoutPlacement(pod: KubeObject): Wire<V1PodSpec> {
  const { spec } = wireOf<V1Pod>(pod);
  const { annotations = {} } = pod.metadata;
  if (!spec?.affinity || !annotations[TICKET_ANNOTATION]) return spec ?? {};
  const { affinity, ...others } = spec;
  const left = withoutPlacement(affinity, annotations[EXCLUDED_NODES_ANNOTATION]?.split(',') ?? []);
  return Object.keys(left).length > 0 ? { ...others, affinity: left } : others;
}

function withoutMounts(container: Record<string, unknown>, volumes: ReadonlySet<string>): Record<string, unknown> {
  const { volumeMounts, ...rest } = container;
  return Array.isArray(volumeMounts) ? { ...rest, volumeMounts: without(volumeMounts, volumes) } : rest;
}

function without(named: readonly unknown[], names: ReadonlySet<string>): readonly unknown[] {
  return named.filter((item) => !names.has((item as { readonly name?: string }).name ?? ''));
}

function templateIn(rawTicket: KubeObject): Partial<PodTemplate> {
  const { spec } = wireOf<{ spec: ReprieveSpec }>(rawTicket);
  return spec?.pod?.template ?? {};
}

/** Who gave which fields of the displaced pod; empty where nothing showed it. */
export function creatorsIn(rawTicket: KubeObject): readonly ManagedFields[] {
  return templateIn(rawTicket).metadata?.managedFields ?? [];
}

/** What a pod carries from the moment it claims a ticket: its node finds the ticket by it, whoever removes the gate. */
export function ticketAnnotations({ name, restore }: Ticket): Readonly<Record<string, string | null>> {
  return { [TICKET_ANNOTATION]: name, ...(restore.onFailure === 'Hold' && { [ON_FAILURE_ANNOTATION]: 'Hold' }) };
}

/**
 * The displaced pod once more, from the template in its ticket: gated and with our RuntimeClass, or `plain`. Only bare pods need this:
 * others have a controller.
 */
export function recreatedPod(ticket: Ticket, rawTicket: KubeObject, plain: boolean): { readonly metadata: ObjectMeta } {
  const { metadata = {}, spec = {} } = templateIn(rawTicket);
  const { labels = {}, annotations, finalizers, ownerReferences } = metadata;
  // What admission derives it must derive again: it refuses the overhead of another runtime class, and a priority that
  // is no longer that of the class.
  const { overhead: _overhead, priority: _priority, preemptionPolicy: _policy, ...podSpec } = spec;
  const { runtimeClassName, ...others } = podSpec;
  const asGiven = runtimeClassName === RUNTIME_CLASS ? others : podSpec;
  return {
    metadata: {
      name: ticket.pod.name,
      namespace: ticket.namespace,
      labels,
      annotations: { ...annotations, ...ticketAnnotations(ticket) } as Record<string, string>,
      ...(finalizers && { finalizers }),
      ...(ownerReferences && { ownerReferences }),
    },
    spec: plain ? asGiven : { ...podSpec, schedulingGates: [{ name: RESTORE_GATE }], runtimeClassName: RUNTIME_CLASS },
  } as { readonly metadata: ObjectMeta };
}
