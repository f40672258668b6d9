import type { V1PodFailurePolicy } from '@kubernetes/client-node';
import type { Wire } from '../../kube/project/wire.ts';
import type { KubeObject } from '../../kube/transport.ts';
import type { WirePod } from './objects.ts';

/** What a failed pod means to its Job. */
export type FailureAction = 'Count' | 'Ignore' | 'FailIndex' | 'FailJob';

const SPECIAL: readonly FailureAction[] = ['Ignore', 'FailIndex', 'FailJob'];

/** The action of the first rule that matches; without a rule every failure counts (`matchPodFailurePolicy`). */
export function failureActionOf(policy: Wire<V1PodFailurePolicy> | null | undefined, pod: KubeObject): FailureAction {
  const { status } = pod as WirePod;
  for (const rule of policy?.rules ?? []) {
    const matches = rule.onExitCodes ? matchesExitCode(rule.onExitCodes, status) : matchesCondition(rule, status);
    if (matches) return SPECIAL.find((action) => action === rule.action) ?? 'Count';
  }
  return 'Count';
}

type Rule = NonNullable<NonNullable<Wire<V1PodFailurePolicy>['rules']>[number]>;

function matchesCondition({ onPodConditions }: Rule, status: WirePod['status']): boolean {
  return (onPodConditions ?? []).some((pattern) =>
    status?.conditions?.some(({ type, status }) => type === pattern.type && status === (pattern.status ?? 'True')),
  );
}

function matchesExitCode(rule: NonNullable<Rule['onExitCodes']>, status: WirePod['status']): boolean {
  const containers = [...(status?.containerStatuses ?? []), ...(status?.initContainerStatuses ?? [])];
  return containers.some(({ name, state }) => {
    const code = state?.terminated?.exitCode;
    if (code === undefined || code === null || code === 0) return false;
    if (rule.containerName && rule.containerName !== name) return false;
    return (rule.values ?? []).includes(code) === (rule.operator === 'In');
  });
}
