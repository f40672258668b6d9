import type { V1Job, V1JobSpec, V1PodFailurePolicyRule } from '@kubernetes/client-node';
import type { EvictionLimit } from '../../domain/owner-facts.ts';
import { FROZEN_CONDITION } from '../../domain/labels.ts';
import type { Wire } from './wire.ts';

/** How the containers of a saved pod end: the agent kills them where they stand (SIGKILL). */
const KILLED = 137;

/** Conditions that every saved pod has when its Job counts it. */
const CONDITIONS_OF_SAVED: Readonly<Record<string, string>> = {
  DisruptionTarget: 'True',
  [FROZEN_CONDITION]: 'True',
  PodScheduled: 'True',
  Initialized: 'True',
  ContainersReady: 'False',
  Ready: 'False',
};

/** Of rules with an action of a later version Kubernetes takes no notice. */
const ACTIONS: ReadonlySet<unknown> = new Set(['Ignore', 'Count', 'FailIndex', 'FailJob']);

const REMEDY = 'a podFailurePolicy whose first rule ignores DisruptionTarget prevents that';

/** How many evictions of its pods a Job bears; null where it bears all. It counts a pod that is deleted before it ended as a failure. */
export function evictionLimitOf(what: string, { spec, status }: Wire<V1Job>): EvictionLimit | null {
  const matched = ruleOfSaved(spec);
  const limit = (bears: number, bearsOfIndex: number | null, ...why: readonly string[]): EvictionLimit => ({
    bears,
    bearsOfIndex,
    message: `${what} ${why.join(', and ')}; ${REMEDY}`,
  });
  switch (matched?.rule.action) {
    case 'Ignore':
      return null;
    case 'FailJob':
      return limit(0, null, `fails if a pod of it is evicted (podFailurePolicy rule ${matched.place}: FailJob)`);
    case 'FailIndex':
      return limit(0, null, `fails the index of an evicted pod (podFailurePolicy rule ${matched.place}: FailIndex)`);
    default: // counted
  }
  const ofIndex = spec?.backoffLimitPerIndex ?? null;
  const [total, failed] = [spec?.backoffLimit ?? (ofIndex === null ? 6 : Infinity), status?.failed ?? 0];
  const bears = Math.max(0, total - failed);
  const why: string[] = [];
  if (bears < Math.max(1, status?.active ?? spec?.parallelism ?? 1)) {
    const pods = bears === 0 ? 'a pod of it is' : `more than ${bears} of its pods are`;
    why.push(`fails if ${pods} evicted (backoffLimit ${total}, ${failed} failed)`);
  }
  if (ofIndex !== null) {
    const pod = ofIndex === 0 ? 'an evicted pod' : 'a pod that is evicted without a retry left';
    why.push(`fails the index of ${pod} (backoffLimitPerIndex ${ofIndex})`);
  }
  return why.length === 0 ? null : limit(bears, ofIndex, ...why);
}

/** The rule that Kubernetes applies to a saved pod, the first that matches, counted from 1 (`matchPodFailurePolicy`). */
function ruleOfSaved(
  spec: Wire<V1JobSpec> | null | undefined,
): { readonly rule: Wire<V1PodFailurePolicyRule>; readonly place: number } | null {
  const killed = killedContainers(spec);
  for (const [at, rule] of (spec?.podFailurePolicy?.rules ?? []).entries())
    if (ACTIONS.has(rule.action) && matchesSaved(rule, killed)) return { rule, place: at + 1 };
  return null;
}

function matchesSaved(
  { onExitCodes, onPodConditions }: Wire<V1PodFailurePolicyRule>,
  killed: ReadonlySet<string | undefined>,
): boolean {
  if (onExitCodes == null)
    return (onPodConditions ?? []).some(({ type, status }) => CONDITIONS_OF_SAVED[type ?? ''] === (status ?? 'True'));
  const { containerName, operator, values } = onExitCodes;
  if (containerName && !killed.has(containerName)) return false;
  return (values ?? []).includes(KILLED) === (operator === 'In');
}

/** Those that run until the pod ends. Init containers that have ended exited with 0, which no rule matches. */
function killedContainers(spec: Wire<V1JobSpec> | null | undefined): ReadonlySet<string | undefined> {
  const { containers, initContainers } = spec?.template?.spec ?? {};
  const sidecars = (initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always');
  return new Set([...(containers ?? []), ...sidecars].map(({ name }) => name ?? undefined));
}
