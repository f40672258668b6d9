import type { Policy, PolicyFinding, PolicyReport } from '../domain/policy.ts';
import type { ReprievePolicyStatus } from './crd/reprieve-policy.ts';
import type { Condition } from './crd/schema.ts';
import { timestampOf } from './project/time.ts';

/** The status that says `report`. A condition whose status stays as it was keeps the time of its last change. */
export function policyStatusObject({ status }: Policy, report: PolicyReport, nowMs: number): ReprievePolicyStatus {
  const { observedGeneration, accepted, conflicted, restorable, selectedPods, rulingPods, protectedPods } = report;
  const sinceMs = (now: PolicyFinding, before: PolicyFinding | undefined, ms: number | null | undefined): number =>
    now.holds === before?.holds ? (ms ?? nowMs) : nowMs;
  const condition = (type: string, { holds, reason, message }: PolicyFinding, ms: number): Condition => ({
    type,
    status: holds ? 'True' : 'False',
    observedGeneration,
    reason,
    message,
    lastTransitionTime: timestampOf(ms),
  });
  return {
    observedGeneration,
    conditions: [
      condition('Accepted', accepted, sinceMs(accepted, status?.report.accepted, status?.acceptedSinceMs)),
      condition('Conflicted', conflicted, sinceMs(conflicted, status?.report.conflicted, status?.conflictedSinceMs)),
      condition('Restorable', restorable, sinceMs(restorable, status?.report.restorable, status?.restorableSinceMs)),
    ],
    selectedPods,
    rulingPods,
    protectedPods,
    unprotectedPods: [...report.unprotectedPods].map(([reason, pods]) => ({ reason, pods })),
  };
}
