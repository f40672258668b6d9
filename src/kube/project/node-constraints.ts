import type { V1NodeSelector, V1NodeSelectorRequirement, V1PodSpec } from '@kubernetes/client-node';
import type { Toleration } from '../../domain/pod.ts';
import type { NodeSelector, NodeTerm } from '../../domain/node-selector.ts';
import type { LabelRequirement } from '../../domain/selector.ts';
import type { Wire } from './wire.ts';

const NO_TOLERATIONS: readonly Toleration[] = Object.freeze([]);

/** The nodes a pod insists on: its `nodeSelector`, and its required node affinity. Null where any node will do. */
export function nodeSelectorOf(spec: Wire<V1PodSpec> | null | undefined): NodeSelector | null {
  const labels = spec?.nodeSelector;
  const required = spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  if (!labels && !required) return null;
  const requirements: LabelRequirement[] = [];
  for (const key in labels) requirements.push({ key, operator: 'In', values: [labels[key] ?? ''] });
  const terms = required ? nodeTermsOf(required) : null;
  // One term of labels is no alternative: all of it has to hold.
  const [only] = terms ?? [];
  if (terms?.length !== 1 || only === undefined || only.fields.length > 0 || only.labels.length === 0) {
    return requirements.length === 0 && terms === null ? null : { requirements, terms };
  }
  return { requirements: [...requirements, ...only.labels], terms: null };
}

/** The terms of a v1 NodeSelector. */
export function nodeTermsOf({ nodeSelectorTerms }: Wire<V1NodeSelector>): readonly NodeTerm[] {
  return (nodeSelectorTerms ?? []).map(({ matchExpressions, matchFields }) => ({
    labels: (matchExpressions ?? []).map(requirementOf),
    fields: (matchFields ?? []).map(requirementOf),
  }));
}

function requirementOf({ key, operator, values }: Wire<V1NodeSelectorRequirement>): LabelRequirement {
  return { key: key ?? '', operator: operator as LabelRequirement['operator'], values: values ?? [] };
}

/** Tolerations in full: the defaults of `operator` and `value` are filled in. */
export function tolerationsOf(spec: Pick<Wire<V1PodSpec>, 'tolerations'> | null | undefined): readonly Toleration[] {
  const tolerations = spec?.tolerations;
  if (!tolerations || tolerations.length === 0) return NO_TOLERATIONS;
  return tolerations.map((toleration) => ({
    key: toleration.key || null,
    operator: toleration.operator === 'Exists' ? 'Exists' : 'Equal',
    value: toleration.value ?? '',
    effect: toleration.effect || null,
  }));
}
