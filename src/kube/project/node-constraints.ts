import type { V1PodSpec } from '@kubernetes/client-node';
import type { Toleration } from '../../domain/pod.ts';
import type { LabelRequirement, LabelSelector } from '../../domain/selector.ts';
import type { Wire } from './wire.ts';

const NO_TOLERATIONS: readonly Toleration[] = Object.freeze([]);

/**
 * Node labels a pod insists on: its `nodeSelector`, and its required node affinity where that has exactly one term.
 * Several terms are alternatives, which one list of requirements cannot say: kube-scheduler decides those alone.
 * `matchFields` are not labels and are left to kube-scheduler, too.
 */
export function nodeSelectorOf(spec: Wire<V1PodSpec> | null | undefined): LabelSelector | null {
  const labels = spec?.nodeSelector;
  const terms = spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
  if (!labels && !terms) return null;
  const requirements: LabelRequirement[] = [];
  for (const key in labels) requirements.push({ key, operator: 'In', values: [labels[key] ?? ''] });
  if (terms?.length === 1) {
    for (const expression of terms[0]?.matchExpressions ?? []) {
      requirements.push({
        key: expression.key ?? '',
        operator: expression.operator as LabelRequirement['operator'],
        values: expression.values ?? [],
      });
    }
  }
  return requirements.length === 0 ? null : { requirements };
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
