import type { NodeName, PodUid } from '../../domain/ids.ts';
import type { Pod, PodOwner } from '../../domain/pod.ts';
import type { GuardRequest, GuardVerdict } from '../guard/guard-request.ts';
import type { PreemptReason } from './preempt-reasons.ts';

/**
 * What the engine answers to the outside, free of wire formats. `http` parses a body into a request, calls one of these,
 * and writes the verdict; it decides nothing itself. All but `admitPod` are synchronous: kube-scheduler waits for the
 * answer inside its serial scheduling cycle, so it comes from memory.
 */
export interface ExtenderCallbacks {
  filter(request: FilterRequest): FilterVerdict;
  prioritize(request: FilterRequest): PrioritizeVerdict;
  preempt(request: PreemptRequest): PreemptVerdict;
  admitPod(request: AdmissionRequest): Promise<AdmissionVerdict>;
  guard(request: GuardRequest): GuardVerdict;
}

export interface FilterRequest {
  readonly pod: Pod;
  readonly nodeNames: readonly NodeName[];
}

export interface FilterVerdict {
  /** Nodes the pod may not take, and why; all others pass. Written to `FailedAndUnresolvableNodes`. Messages hold no changing numbers. */
  readonly refused: ReadonlyMap<NodeName, string>;
}

export interface PrioritizeVerdict {
  /** 0 to 10 by node; nodes that are not named get 0. */
  readonly scores: ReadonlyMap<NodeName, number>;
}

export interface PreemptRequest {
  readonly preemptor: Pod;
  /** Nodes that kube-scheduler's dry run offers. `victims` may be empty (kubernetes/kubernetes#135486). */
  readonly candidates: readonly PreemptCandidate[];
}

export interface PreemptCandidate {
  readonly node: NodeName;
  readonly victims: readonly PodUid[];
  readonly numPdbViolations: number;
}

export interface PreemptVerdict {
  readonly reason: PreemptReason;
  /** Nodes for kube-scheduler to choose from, each with at least one victim that stands there now; empty: not now (`{}`). */
  readonly candidates: readonly PreemptCandidate[];
  /** The node that was chosen, where one was. */
  readonly node: NodeName | null;
  /** Name of the displacement it follows or made; null where nothing is recorded. */
  readonly displacementId: string | null;
  /** Pods that are saved before they go. */
  readonly saving: number;
}

/** A pod as the webhook sees it: before it is stored it has no UID, and its name may not be chosen yet. */
export interface AdmissionRequest {
  readonly namespace: string;
  /** Null while only `generateName` is set. */
  readonly name: string | null;
  readonly owner: PodOwner | null;
  readonly completionIndex: number | null;
  readonly labels: Readonly<Record<string, string>>;
  readonly priorityClassName: string;
  readonly dryRun: boolean;
  /** It carries the gate already: created by ourselves. */
  readonly gated: boolean;
  /** The ticket that it names, where it comes without the gate and without our RuntimeClass; null: it names none, or has one of both. */
  readonly plainFor: string | null;
  /** The pod as it was sent. */
  readonly object: object;
}

export interface AdmissionVerdict {
  /** Add the gate `reprieve.dev/restore` and the runtime class. */
  readonly gate: boolean;
  readonly reason:
    'NoOwner' | 'NoTicket' | 'AlreadyGated' | 'MadePlain' | 'OpenTicket' | 'NoRuntimeClass' | 'RefusedWithGate';
}
