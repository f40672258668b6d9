import type {
  V1Affinity,
  V1NodeAffinity,
  V1NodeSelectorRequirement,
  V1NodeSelectorTerm,
  V1PreferredSchedulingTerm,
} from '@kubernetes/client-node';
import { COMPATIBILITY_LABEL } from '../domain/labels.ts';
import type { NodeName } from '../domain/ids.ts';
import type { Placement } from '../ports/cluster-writer.ts';
import { canonicalJson } from './project/canonical-json.ts';
import type { Wire } from './project/wire.ts';

/** Above anything a user is likely to give, and the largest the API allows. */
const PREFERENCE_WEIGHT = 100;

/**
 * The pod's node affinity with the placement added, within what the API lets change on a gated pod: preferred terms
 * freely; required terms may be set where there are none, otherwise each existing term may only get *more* expressions
 * (terms are alternatives, so all of them must get it). What is there already is not added twice.
 */
export function nodeAffinityWith(
  affinity: Wire<V1Affinity> | null | undefined,
  placement: Placement,
): Wire<V1NodeAffinity> {
  const current = affinity?.nodeAffinity ?? {};
  const expressions = placement.compatibility === null ? [] : [labelIs(COMPATIBILITY_LABEL, placement.compatibility)];
  const fields = placement.requiredNode === null ? [] : [nodeIs(placement.requiredNode)];
  fields.push(...placement.excludedNodes.map(nodeIsNot));
  const result: { -readonly [K in keyof Wire<V1NodeAffinity>]: Wire<V1NodeAffinity>[K] } = { ...current };
  if (expressions.length + fields.length > 0) {
    const terms = current.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
    result.requiredDuringSchedulingIgnoredDuringExecution = {
      nodeSelectorTerms:
        terms.length === 0
          ? [added({}, expressions, fields)]
          : terms.map((term) => narrowed(term, expressions, fields)),
    };
  }
  if (placement.preferredNode !== null) {
    const preferred: Wire<V1PreferredSchedulingTerm> = {
      weight: PREFERENCE_WEIGHT,
      preference: { matchFields: [nodeIs(placement.preferredNode)] },
    };
    result.preferredDuringSchedulingIgnoredDuringExecution = union(
      current.preferredDuringSchedulingIgnoredDuringExecution,
      [preferred],
    );
  }
  return result;
}

/**
 * The affinity without what an earlier {@link nodeAffinityWith} added (`excludedNodes` as it was given them), so that a pod that is displaced a second time is
 * not bound to where it was after the first. A required node stays: it cannot be told from one that the user gave, and
 * a pod that was restored there is saved there, too.
 */
export function withoutPlacement(affinity: Wire<V1Affinity>, excludedNodes: readonly string[] = []): Wire<V1Affinity> {
  const { nodeAffinity, ...others } = affinity;
  if (!nodeAffinity) return affinity;
  const {
    requiredDuringSchedulingIgnoredDuringExecution: required,
    preferredDuringSchedulingIgnoredDuringExecution: preferred,
  } = nodeAffinity;
  const terms = (required?.nodeSelectorTerms ?? [])
    .map((term) => withoutOurs(term, excludedNodes))
    .filter((term) => term !== null);
  const preferences = (preferred ?? []).filter((term) => !isOurPreference(term));
  const left: Wire<V1NodeAffinity> = {
    ...(terms.length > 0 && { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: terms } }),
    ...(preferences.length > 0 && { preferredDuringSchedulingIgnoredDuringExecution: preferences }),
  };
  return Object.keys(left).length > 0 ? { ...others, nodeAffinity: left } : others;
}

/** Null where nothing but our own requirements was in the term. */
function withoutOurs(term: Term, excludedNodes: readonly string[]): Term | null {
  const ours = new Set(excludedNodes.map((node) => canonicalJson(nodeIsNot(node as NodeName))));
  const { matchExpressions, matchFields, ...rest } = term;
  const expressions = (matchExpressions ?? []).filter(({ key }) => key !== COMPATIBILITY_LABEL);
  const fields = (matchFields ?? []).filter((field) => !ours.has(canonicalJson(field)));
  const removed = (matchExpressions?.length ?? 0) + (matchFields?.length ?? 0) - expressions.length - fields.length;
  if (removed === 0) return term;
  if (expressions.length + fields.length === 0) return null;
  return {
    ...rest,
    ...(expressions.length > 0 && { matchExpressions: expressions }),
    ...(fields.length > 0 && { matchFields: fields }),
  };
}

function isOurPreference({ weight, preference }: Wire<V1PreferredSchedulingTerm>): boolean {
  const fields = preference?.matchFields;
  return weight === PREFERENCE_WEIGHT && !preference?.matchExpressions?.length && fields?.[0]?.key === 'metadata.name';
}

type Requirement = Wire<V1NodeSelectorRequirement>;
type Term = Wire<V1NodeSelectorTerm>;

/** An empty term matches no node; with an expression it would begin to match some. */
function narrowed(term: Term, expressions: readonly Requirement[], fields: readonly Requirement[]): Term {
  const isEmpty = !term.matchExpressions?.length && !term.matchFields?.length;
  return isEmpty ? term : added(term, expressions, fields);
}

function added(term: Term, expressions: readonly Requirement[], fields: readonly Requirement[]): Term {
  return {
    ...term,
    ...(expressions.length > 0 && { matchExpressions: union(term.matchExpressions, expressions) }),
    ...(fields.length > 0 && { matchFields: union(term.matchFields, fields) }),
  };
}

function union<T>(present: readonly T[] | null | undefined, more: readonly T[]): readonly T[] {
  const known = new Set((present ?? []).map(canonicalJson));
  return [...(present ?? []), ...more.filter((item) => !known.has(canonicalJson(item)))];
}

function labelIs(key: string, value: string): Requirement {
  return { key, operator: 'In', values: [value] };
}

/** By name and not by the hostname label, which need not be the name of the node. */
function nodeIs(node: NodeName): Requirement {
  return { key: 'metadata.name', operator: 'In', values: [node] };
}

/** With one value: the API takes no more for a field. */
function nodeIsNot(node: NodeName): Requirement {
  return { key: 'metadata.name', operator: 'NotIn', values: [node] };
}
