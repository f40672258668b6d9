import type { NodeName, PodUid } from '../../domain/ids.ts';
import { DECIDE_ANNOTATION } from '../../domain/labels.ts';
import type { LabelRequirement, LabelSelector } from '../../domain/selector.ts';
import type { Ticket } from '../../domain/ticket.ts';
import { reprieve, type ReprieveSpec, type ReprieveStatus } from '../crd/reprieve.ts';
import type { KubeObject } from '../transport.ts';
import { decisionOf, flawOf, restoreOf } from './decision.ts';
import { metadataOf } from './metadata.ts';
import { tolerationsOf } from './node-constraints.ts';
import { resourcesOf } from './resource-list.ts';
import { millisOf } from './time.ts';
import { typedOf } from './typed.ts';
import type { Wire } from './wire.ts';

/**
 * The domain value of a Reprieve. One without a status was created a moment ago, by a process that may have died before
 * it wrote one: nothing has happened yet, it is `Saving`.
 */
export function ticketOf(object: KubeObject): Ticket {
  const { spec, status } = typedOf<{ spec: ReprieveSpec; status: ReprieveStatus }>(object, reprieve);
  const { namespace, name, uid, resourceVersion, creationMs } = metadataOf(object);
  return {
    namespace,
    name,
    uid,
    resourceVersion,
    creationMs,
    generation: object.metadata.generation ?? 1,
    deleting: object.metadata.deletionTimestamp !== undefined,
    pod: {
      name: spec?.pod?.name ?? '',
      uid: (spec?.pod?.uid ?? '') as PodUid,
      completionIndex: spec?.pod?.completionIndex ?? null,
      displacements: spec?.pod?.displacements ?? 0,
    },
    owner: ownerOf(spec?.owner),
    priority: spec?.priority ?? 0,
    requests: resourcesOf(spec?.requests),
    nodeSelector: requirementsOf(spec?.nodeSelector),
    tolerations: tolerationsOf(spec),
    restoreShape: spec?.restoreShape ?? '',
    decision: decisionOf(spec),
    flaw: flawOf(namespace, spec),
    checkpoint: spec?.checkpoint ?? '',
    restore: restoreOf(spec?.restore),
    phase: status?.phase ?? 'Saving',
    phaseMs: millisOf(status?.phaseTime) ?? creationMs,
    claim: status?.claim?.uid ? { name: status.claim.name ?? '', uid: status.claim.uid as PodUid } : null,
    attempts: status?.attempts ?? 0,
    failedNodes: (status?.failedNodes ?? []).map(({ node, pod, reason }) => ({
      node: (node ?? '') as NodeName,
      pod: (pod ?? '') as PodUid,
      reason: reason ?? '',
    })),
    said: saidBy(status),
    decide: object.metadata.annotations?.[DECIDE_ANNOTATION]?.trim() || null,
  };
}

function saidBy(status: Wire<ReprieveStatus> | null | undefined): Ticket['said'] {
  const condition = status?.conditions?.find(({ type }) => type === 'Restored');
  return { reason: condition?.reason ?? '', message: condition?.message ?? '' };
}

function ownerOf(owner: Wire<ReprieveSpec['owner']> | null | undefined): Ticket['owner'] {
  if (!owner?.uid) return null;
  return { apiVersion: owner.apiVersion ?? '', kind: owner.kind ?? '', name: owner.name ?? '', uid: owner.uid };
}

function requirementsOf(list: Wire<ReprieveSpec['nodeSelector']> | null | undefined): LabelSelector | null {
  if (!list || list.length === 0) return null;
  const requirements = list.map(({ key, operator, values }): LabelRequirement => ({
    key: key ?? '',
    operator: operator ?? 'Exists',
    values: values ?? [],
  }));
  return { requirements };
}
