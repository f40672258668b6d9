import { listAt, recordAt, semanticallySame, type JsonRecord } from './json.ts';
import type { FieldError } from './status-error.ts';

const TERMS = 'spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms';

/** `validateNodeSelectorMutation`: a gated pod may get further node labels to ask for, and may lose none. */
export function nodeSelectorErrors(spec: Readonly<JsonRecord>, oldSpec: Readonly<JsonRecord>): readonly FieldError[] {
  const value = recordAt(spec, 'nodeSelector');
  const isKept = Object.entries(recordAt(oldSpec, 'nodeSelector')).every(([key, old]) => value[key] === old);
  if (isKept) return [];
  const detail = 'only additions to spec.nodeSelector are allowed (no mutations or deletions)';
  return [{ field: 'spec.nodeSelector', type: 'Invalid value', value, detail }];
}

/**
 * `validateNodeAffinityMutation` of a gated pod. Terms are alternatives, so a new one would widen the choice and a
 * further expression inside one narrows it. Where nothing was required, anything may be; preferences are free.
 */
export function affinityErrors(spec: Readonly<JsonRecord>, oldSpec: Readonly<JsonRecord>): readonly FieldError[] {
  const oldTerms = requiredTermsOf(oldSpec);
  if (oldTerms.length === 0) return [];
  const terms = requiredTermsOf(spec);
  if (terms.length !== oldTerms.length) {
    const detail = 'no additions/deletions to non-empty NodeSelectorTerms list are allowed';
    return [{ field: TERMS, type: 'Invalid value', value: terms, detail }];
  }
  return terms.flatMap((term, i): FieldError[] => {
    if (hasOnlyAdditions(term, oldTerms[i])) return [];
    const detail = 'only additions are allowed (no mutations or deletions)';
    return [{ field: `${TERMS}[${i}]`, type: 'Invalid value', value: term, detail }];
  });
}

function requiredTermsOf(spec: Readonly<JsonRecord>): readonly unknown[] {
  const affinity = recordAt(recordAt(spec, 'affinity'), 'nodeAffinity');
  return listAt(affinity['requiredDuringSchedulingIgnoredDuringExecution'], 'nodeSelectorTerms');
}

function hasOnlyAdditions(term: unknown, old: unknown): boolean {
  // An empty term selects no node; anything added to it would widen the choice.
  const isEmpty = (value: unknown): boolean =>
    listAt(value, 'matchExpressions').length === 0 && listAt(value, 'matchFields').length === 0;
  if (isEmpty(old) && !isEmpty(term)) return false;
  return ['matchExpressions', 'matchFields'].every((name) => {
    const previous = listAt(old, name);
    return semanticallySame(listAt(term, name).slice(0, previous.length), previous);
  });
}
