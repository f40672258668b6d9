import type { NodeName, PodUid } from '../../domain/ids.ts';
import { DECIDE_ANNOTATION, HOLD_ANNOTATION } from '../../domain/labels.ts';
import type { Ticket } from '../../domain/ticket.ts';
import { reprieve, type ReprieveSpec, type ReprieveStatus } from '../crd/reprieve.ts';
import type { KubeObject } from '../transport.ts';
import { displacementOf, flawOf, restoreOf } from './displacement.ts';
import { metadataOf } from './metadata.ts';
import { restoreShapeOf } from './restore-shape.ts';
import { resourcesOf } from './resource-list.ts';
import { millisOf } from './time.ts';
import { typedOf } from './typed.ts';
import type { Wire } from './wire.ts';
import { wishIn } from './wish.ts';

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
      identityLabels: labelsIn(spec?.pod?.identityLabels),
      displacements: spec?.pod?.displacements ?? 0,
      memoryLimitBytes: spec?.pod?.memoryLimitBytes ?? null,
    },
    owner: ownerOf(spec?.owner),
    priority: spec?.priority ?? 0,
    requests: resourcesOf(spec?.requests),
    restoreShape: shapeIn(spec),
    displacement: displacementOf(spec),
    flaw: flawOf(namespace, spec),
    checkpoint: spec?.checkpoint ?? '',
    state: stateOf(status?.state),
    restore: restoreOf(spec?.restore),
    phase: status?.phase ?? 'Saving',
    phaseMs: millisOf(status?.phaseTime) ?? creationMs,
    evictedMs: millisOf(status?.evictedTime),
    claim: status?.claim?.uid ? { name: status.claim.name ?? '', uid: status.claim.uid as PodUid } : null,
    attempts: status?.attempts ?? 0,
    failedNodes: (status?.failedNodes ?? []).map(({ node, pod, reason }) => ({
      node: (node ?? '') as NodeName,
      pod: (pod ?? '') as PodUid,
      reason: reason ?? '',
    })),
    replacedPods: (status?.replacedPods ?? []).map(({ pod, reason }) => ({
      pod: (pod ?? '') as PodUid,
      reason: reason ?? 'Disrupted',
    })),
    waitsFor: status?.waitsFor ?? null,
    said: saidBy(status),
    heldFor: wishIn(object.metadata.annotations?.[HOLD_ANNOTATION]),
    decide: object.metadata.annotations?.[DECIDE_ANNOTATION]?.trim() || null,
  };
}

function stateOf(state: Wire<ReprieveStatus['state']> | null | undefined): Ticket['state'] {
  const { node, reference, manifestDigest, compatibility } = state ?? {};
  if (!node || !reference || !manifestDigest) return null;
  return { node: node as NodeName, reference, manifestDigest, compatibility: compatibility || null };
}

function labelsIn(labels: Wire<Record<string, string>> | null | undefined): Ticket['pod']['identityLabels'] {
  if (!labels) return null;
  return Object.fromEntries(Object.entries(labels).map(([key, value]) => [key, value ?? '']));
}

/** An earlier version recorded one digest over fewer fields. Its tickets hold the whole template, also of pods with a controller. */
function shapeIn(spec: Wire<ReprieveSpec> | null | undefined): string {
  const shape = spec?.restoreShape ?? '';
  const template = spec?.pod?.template;
  if (!OLD_SHAPE.test(shape) || !template?.['spec']) return shape;
  return restoreShapeOf({ ...template, metadata: { name: '' } });
}

const OLD_SHAPE = /^[0-9a-f]{64}$/;

function saidBy(status: Wire<ReprieveStatus> | null | undefined): Ticket['said'] {
  const condition = status?.conditions?.find(({ type }) => type === 'Restored');
  return { reason: condition?.reason ?? '', message: condition?.message ?? '' };
}

function ownerOf(owner: Wire<ReprieveSpec['owner']> | null | undefined): Ticket['owner'] {
  if (!owner?.uid) return null;
  return { apiVersion: owner.apiVersion ?? '', kind: owner.kind ?? '', name: owner.name ?? '', uid: owner.uid };
}
