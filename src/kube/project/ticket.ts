import { parseDuration } from '../../domain/duration.ts';
import type { NodeName, PodUid } from '../../domain/ids.ts';
import type { LabelRequirement, LabelSelector } from '../../domain/selector.ts';
import type { Decision, Ticket, VictimTerms } from '../../domain/ticket.ts';
import { reprieve, type ReprieveSpec, type ReprieveStatus } from '../crd/reprieve.ts';
import { POLICY_DEFAULTS } from '../crd/reprieve-policy.ts';
import type { KubeObject } from '../transport.ts';
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
    checkpoint: spec?.checkpoint ?? '',
    restore: restoreOf(spec?.restore),
    phase: status?.phase ?? 'Saving',
    phaseMs: millisOf(status?.phaseTime) ?? creationMs,
    claim: status?.claim?.uid ? { name: status.claim.name ?? '', uid: status.claim.uid as PodUid } : null,
    attempts: status?.attempts ?? 0,
  };
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

function restoreOf(given: Wire<ReprieveSpec['restore']> | null | undefined): Ticket['restore'] {
  const { restore } = POLICY_DEFAULTS;
  return {
    nodes: given?.nodes ?? restore.nodes,
    attempts: given?.attempts ?? restore.attempts,
    onFailure: given?.onFailure ?? restore.onFailure,
    maxWaitMs: parseDuration(given?.maxWait ?? '') ?? parseDuration(restore.maxWait) ?? 0,
  };
}

function decisionOf(spec: Wire<ReprieveSpec> | null | undefined): Decision {
  const decision = spec?.decision;
  const preemptor = decision?.preemptor;
  const decidedMs = millisOf(decision?.decidedAt) ?? 0;
  return {
    id: decision?.id ?? '',
    preemptor: {
      namespace: preemptor?.namespace ?? '',
      name: preemptor?.name ?? '',
      uid: (preemptor?.uid ?? '') as PodUid,
      priority: preemptor?.priority ?? 0,
    },
    node: (decision?.node ?? '') as NodeName,
    victims: (decision?.victims ?? []).map((victim) => ({
      uid: (victim.uid ?? '') as PodUid,
      namespace: victim.namespace ?? '',
      name: victim.name ?? '',
      action: victim.action ?? 'evict',
      checkpoint: victim.checkpoint || null,
      onFailure: victim.onFailure ?? 'Evict',
      terms: victim.action === 'checkpoint' || victim.action === 'reuse' ? termsOf(victim.terms, spec) : null,
    })),
    numPdbViolations: decision?.numPDBViolations ?? 0,
    decidedMs,
    deadlineMs: millisOf(decision?.deadline) ?? decidedMs,
  };
}

/** A victim whose terms are not told has those of the ticket that names it. */
function termsOf(
  terms: Wire<ReprieveSpec['decision']['victims'][number]['terms']> | null | undefined,
  ticket: Wire<ReprieveSpec> | null | undefined,
): VictimTerms {
  const { maxDelay } = POLICY_DEFAULTS.preemption;
  return {
    policy: terms?.policy ?? ticket?.policy ?? '',
    maxDelayMs: parseDuration(terms?.maxDelay ?? '') ?? parseDuration(maxDelay) ?? 0,
    restore: restoreOf(terms?.restore ?? ticket?.restore),
  };
}
