import { parseDuration } from '../../domain/duration.ts';
import type { Policy, PolicyFinding, PolicyStatus } from '../../domain/policy.ts';
import { selectorOf } from '../../domain/selector.ts';
import {
  POLICY_DEFAULTS,
  reprievePolicy,
  type ReprievePolicySpec,
  type ReprievePolicyStatus,
} from '../crd/reprieve-policy.ts';
import type { KubeObject } from '../transport.ts';
import { checkpointRulesOf } from './checkpoint-rules.ts';
import { conditionOf, type WireCondition } from './conditions.ts';
import { metadataOf } from './metadata.ts';
import { millisOf } from './time.ts';
import { typedOf } from './typed.ts';
import type { Wire } from './wire.ts';

/** The domain value of a ReprievePolicy. A server without the CRD's defaults (or a field it let through) changes nothing. */
export function policyOf(object: KubeObject): Policy {
  const { spec, status } = typedOf<{ spec: ReprievePolicySpec; status: ReprievePolicyStatus }>(object, reprievePolicy);
  const { name, uid, creationMs, resourceVersion } = metadataOf(object);
  const { preemption, displacement, store, restore } = POLICY_DEFAULTS;
  return {
    name,
    uid,
    creationMs,
    resourceVersion,
    generation: object.metadata.generation ?? 0,
    match: matchOf(spec?.match),
    precedence: spec?.precedence ?? POLICY_DEFAULTS.precedence,
    preemption: {
      decision: spec?.preemption?.decision ?? preemption.decision,
      maxDelayMs: durationMs(spec?.preemption?.maxDelay, preemption.maxDelay),
      onFailure: spec?.preemption?.onFailure ?? preemption.onFailure,
      freshForMs: durationMs(spec?.preemption?.freshFor, preemption.freshFor),
    },
    displacement: { servingPods: spec?.displacement?.servingPods ?? displacement.servingPods },
    checkpoint: checkpointRulesOf({ ...spec?.checkpoint, maxBytes: spec?.store?.maxBytes }),
    store: { ttlMs: durationMs(spec?.store?.ttl, store.ttl) },
    restore: {
      nodes: spec?.restore?.nodes ?? restore.nodes,
      attempts: spec?.restore?.attempts ?? restore.attempts,
      onFailure: spec?.restore?.onFailure ?? restore.onFailure,
      maxWaitMs: durationMs(spec?.restore?.maxWait, restore.maxWait),
      identityLabels: spec?.restore?.identityLabels ?? restore.identityLabels,
    },
    status: statusOf(status),
  };
}

/** Null unless all of it is there: what is half a report is written anew. */
function statusOf(status: Wire<ReprievePolicyStatus> | null | undefined): PolicyStatus | null {
  const accepted = conditionOf(status?.conditions, 'Accepted');
  const conflicted = conditionOf(status?.conditions, 'Conflicted');
  const restorable = conditionOf(status?.conditions, 'Restorable');
  const { observedGeneration, selectedPods, rulingPods, protectedPods, unprotectedPods } = status ?? {};
  if (!accepted || !conflicted || !restorable || observedGeneration == null) return null;
  if (selectedPods == null || rulingPods == null || protectedPods == null || unprotectedPods == null) return null;
  return {
    report: {
      observedGeneration,
      accepted: findingOf(accepted),
      conflicted: findingOf(conflicted),
      restorable: findingOf(restorable),
      selectedPods,
      rulingPods,
      protectedPods,
      unprotectedPods: new Map(unprotectedPods.map(({ reason, pods }) => [reason ?? '', pods ?? 0])),
    },
    acceptedSinceMs: millisOf(accepted.lastTransitionTime),
    conflictedSinceMs: millisOf(conflicted.lastTransitionTime),
    restorableSinceMs: millisOf(restorable.lastTransitionTime),
  };
}

function findingOf({ status, reason, message }: WireCondition): PolicyFinding {
  return { holds: status === 'True', reason: reason ?? '', message: message ?? '' };
}

function matchOf(match: Wire<ReprievePolicySpec['match']> | null | undefined): Policy['match'] {
  return {
    namespaceSelector: match?.namespaceSelector ? selectorOf(match.namespaceSelector) : null,
    podSelector: match?.podSelector ? selectorOf(match.podSelector) : null,
    priorityClassNames: match?.priorityClassNames ?? null,
  };
}

function durationMs(text: string | null | undefined, fallback: string): number {
  return (text ? parseDuration(text) : null) ?? parseDuration(fallback) ?? 0;
}
