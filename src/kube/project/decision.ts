import { parseDuration } from '../../domain/duration.ts';
import type { NodeName, PodUid } from '../../domain/ids.ts';
import {
  LONGEST_SAVE_MS,
  type Decision,
  type PlannedVictim,
  type Ticket,
  type VictimTerms,
} from '../../domain/ticket.ts';
import { checkpointNameOf, ticketNameOf } from '../../engine/names.ts';
import type { ReprieveSpec } from '../crd/reprieve.ts';
import { POLICY_DEFAULTS } from '../crd/reprieve-policy.ts';
import { checkpointRulesOf } from './checkpoint-rules.ts';
import { millisOf } from './time.ts';
import type { Wire } from './wire.ts';

type WireVictim = Wire<ReprieveSpec['decision']['victims'][number]>;

/**
 * The decision in a ticket. Whatever the record says, no victim that was to be saved becomes one that may go unsaved: where
 * its checkpoint is missing, it has the name of one that is yet to be made. What cannot be true is told by {@link flawOf}.
 */
export function decisionOf(spec: Wire<ReprieveSpec> | null | undefined): Decision {
  const decision = spec?.decision;
  const preemptor = decision?.preemptor;
  const decidedMs = millisOf(decision?.decidedAt) ?? 0;
  const id = decision?.id ?? '';
  return {
    id,
    preemptor: {
      namespace: preemptor?.namespace ?? '',
      name: preemptor?.name ?? '',
      uid: (preemptor?.uid ?? '') as PodUid,
      priority: preemptor?.priority ?? 0,
    },
    node: (decision?.node ?? '') as NodeName,
    victims: (decision?.victims ?? []).map((victim) => victimOf(victim, id, spec)),
    numPdbViolations: decision?.numPDBViolations ?? 0,
    decidedMs,
    deadlineMs: millisOf(decision?.deadline) ?? decidedMs,
  };
}

function victimOf(
  victim: WireVictim,
  decisionId: string,
  ticket: Wire<ReprieveSpec> | null | undefined,
): PlannedVictim {
  const ref = {
    uid: (victim.uid ?? '') as PodUid,
    namespace: victim.namespace ?? '',
    name: victim.name ?? '',
    onFailure: victim.onFailure ?? 'Evict',
  };
  if (victim.action !== 'checkpoint' && victim.action !== 'reuse')
    return { ...ref, action: 'evict', checkpoint: null, terms: null };
  const { checkpoint } = victim;
  const action = checkpoint ? victim.action : 'checkpoint';
  const name = checkpoint || checkpointNameOf(ticketNameOf(ref), decisionId);
  return { ...ref, action, checkpoint: name, terms: termsOf(victim.terms, ticket) };
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
    checkpoint: checkpointRulesOf(terms?.checkpoint),
    restore: restoreOf(terms?.restore ?? ticket?.restore),
  };
}

export function restoreOf(given: Wire<ReprieveSpec['restore']> | null | undefined): Ticket['restore'] {
  const { restore } = POLICY_DEFAULTS;
  return {
    nodes: given?.nodes ?? restore.nodes,
    attempts: given?.attempts ?? restore.attempts,
    onFailure: given?.onFailure ?? restore.onFailure,
    maxWaitMs: parseDuration(given?.maxWait ?? '') ?? parseDuration(restore.maxWait) ?? 0,
  };
}

/**
 * Why a ticket in `namespace` and its decision cannot both be true; null where they can. Reprieve writes no such record: it
 * was edited, or restored from a damaged backup.
 */
export function flawOf(namespace: string, spec: Wire<ReprieveSpec> | null | undefined): string | null {
  const { id, preemptor, node, victims, decidedAt, deadline } = spec?.decision ?? {};
  if (!id || !node || !preemptor?.uid) return 'the decision has no id, node or preemptor';
  const uids = new Set((victims ?? []).map(({ uid }) => uid ?? ''));
  if (uids.size !== victims?.length || uids.has('')) return 'the decision names a victim twice, or one without a UID';
  if (uids.has(preemptor.uid)) return 'the preemptor is its own victim';
  const unnamed = victims.find(({ action, checkpoint }) => action !== 'evict' && !checkpoint);
  if (unnamed !== undefined) return `victim ${unnamed.name ?? ''} is to be saved, and no checkpoint is named`;
  const own = victims.find(({ uid }) => uid === spec?.pod?.uid);
  if (own === undefined || own.namespace !== namespace) return 'its pod is not among the victims of the decision';
  if (own.action === 'evict') return 'its pod is to be evicted without being saved';
  if (own.checkpoint !== spec?.checkpoint) return 'it names another checkpoint than its decision';
  const [decidedMs, deadlineMs] = [millisOf(decidedAt), millisOf(deadline)];
  if (decidedMs === null || deadlineMs === null) return 'the decision has no time or no deadline';
  const longestMs = Math.max(...victims.map(({ terms }) => termsOf(terms, spec).maxDelayMs)) + LONGEST_SAVE_MS;
  if (deadlineMs < decidedMs || deadlineMs > decidedMs + longestMs) return 'the deadline is out of bounds';
  return null;
}
