import type { Policy, PolicyFinding } from './policy.ts';
import type { ConditionReason } from './condition-reasons.ts';
import { NO_RUNTIME_CLASS, successorUnknown, type Circumstances } from './protection.ts';
import { impossibleKey } from './satisfiable.ts';

const ACCEPTED: PolicyFinding = { holds: true, reason: 'Accepted', message: 'nothing in it contradicts itself' };

/**
 * Condition `Accepted`: whether what a policy says can work, as far as the policy alone tells. What it says stays in force
 * either way; the condition is there so that its author learns of it before a pod is lost to it.
 */
export function acceptance({ match, preemption }: Policy): PolicyFinding {
  for (const part of ['namespaceSelector', 'podSelector'] as const) {
    const selector = match[part];
    const key = selector === null ? null : impossibleKey(selector);
    if (key !== null) {
      const message = `match.${part} selects nothing: no object can have a label "${key}" as it asks`;
      return { holds: false, reason: 'SelectorNeverMatches', message };
    }
  }
  if (preemption.decision === 'Never' && preemption.onFailure === 'Refuse') {
    const message = 'preemption.decision Never evicts its pods unsaved, though preemption.onFailure is Refuse';
    return { holds: false, reason: 'ContradictoryPreemption', message };
  }
  return ACCEPTED;
}

/** What the pods of the cluster show about a policy. Policies in the order of `comparePolicies`. */
export interface Rivals {
  /** Of the same precedence, each selecting some of its pods, and coming before it. */
  readonly before: readonly Policy[];
  /** The same, coming after it. */
  readonly after: readonly Policy[];
  /** Who rules pods that it selects, other than itself. */
  readonly rulers: readonly Policy[];
}

const NO_CONFLICT: PolicyFinding = { holds: false, reason: 'NoConflict', message: 'no other policy disputes its pods' };

/**
 * Condition `Conflicted`: `Shadowed` when others rule every pod that it selects, at whatever precedence; `SamePrecedence`
 * when only age or name settles who rules a pod. A policy that is overruled in part by a higher precedence is as its author
 * asked for.
 */
export function conflict(policy: Policy, rulesNone: boolean, { before, after, rulers }: Rivals): PolicyFinding {
  if (rulesNone && rulers.length > 0) {
    const message = `every pod that it selects is ruled by ${namesOf(rulers)}`;
    return { holds: true, reason: 'Shadowed', message };
  }
  if (before.length === 0 && after.length === 0) return NO_CONFLICT;
  const overruled = before.length > 0 ? [`${namesOf(before)} before it`] : [];
  const overrules = after.length > 0 ? [`it before ${namesOf(after)}`] : [];
  const message =
    `precedence ${policy.precedence} is shared with policies that select the same pods; ` +
    `of two, the older rules, then the first by name: ${[...overruled, ...overrules].join(', ')}`;
  return { holds: true, reason: 'SamePrecedence', message };
}

/**
 * Condition `Restorable`: whether the pods of controllers that a policy rules would come back. Where they would not, they are
 * evicted unsaved.
 */
export function restorability(
  { reach: { isCalled, reason, message }, hasRuntimeClass }: Circumstances,
  { missedIn, leftOutIn, unknownSuccessors, failing }: Unrestorable,
): PolicyFinding {
  const consequence = 'pods of controllers are evicted unsaved, because their replacements would start cold';
  if (!isCalled) return { holds: false, reason, message: `${message}; ${consequence}` };
  if (!hasRuntimeClass) {
    const pods = 'pods are evicted unsaved, because their replacements would start cold';
    return { holds: false, reason: 'NoRuntimeClass', message: `${NO_RUNTIME_CLASS}; ${pods}` };
  }
  const partly: { reason: ConditionReason<'ReprievePolicy', 'Restorable'>; message: string }[] = [];
  if (missedIn.size > 0) {
    const cause = `a replacement was created without a review of the webhook in namespace ${sorted(missedIn)}`;
    partly.push({ reason: 'NamespaceNotReviewed', message: `${cause}; there ${consequence}` });
  }
  if (leftOutIn.size > 0) {
    const cause = `the selectors of the webhook configuration leave out pods of controllers in namespace ${sorted(leftOutIn)}`;
    partly.push({ reason: 'OutOfScope', message: `${cause}; they are evicted unsaved` });
  }
  if (unknownSuccessors.size > 0) {
    const cause = successorUnknown(sorted(unknownSuccessors));
    partly.push({ reason: 'SuccessorUnknown', message: `${cause}; until then they are evicted unsaved` });
  }
  if (failing.size > 0) {
    const message = `the eviction of a pod would fail its Job for good: ${sorted(failing)}; a podFailurePolicy whose first rule ignores DisruptionTarget prevents that`;
    partly.push({ reason: 'JobWouldFail', message });
  }
  const [first] = partly;
  if (first === undefined) return { holds: true, reason, message };
  return { holds: false, reason: first.reason, message: partly.map((one) => one.message).join('. ') };
}

/** Of the pods that a policy rules, what those have in common that would not come back. */
export interface Unrestorable {
  /** Namespaces of pods of controllers in which a replacement was not reviewed. */
  readonly missedIn: ReadonlySet<string>;
  /** Namespaces of pods of controllers that the selectors of the webhook leave out. */
  readonly leftOutIn: ReadonlySet<string>;
  /** Kinds of controllers of which nothing tells which pod continues which. */
  readonly unknownSuccessors: ReadonlySet<string>;
  /** Jobs that the eviction of a pod would fail, as `namespace/name`. */
  readonly failing: ReadonlySet<string>;
}

function sorted(names: ReadonlySet<string>): string {
  return listOf([...names].sort());
}

/** As many names as a line of `kubectl describe` bears. */
const MOST_NAMES = 5;

function namesOf(policies: readonly Policy[]): string {
  return listOf(policies.map(({ name }) => name));
}

function listOf(names: readonly string[]): string {
  const more = names.length - MOST_NAMES;
  return names.slice(0, MOST_NAMES).join(', ') + (more > 0 ? ` and ${more} more` : '');
}
