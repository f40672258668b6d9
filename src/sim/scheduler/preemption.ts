import type { KubeObject } from '../../kube/transport.ts';
import type { Random } from '../random.ts';
import { selectVictimsOn } from './dry-run.ts';
import { ExtenderError } from './extender-answer.ts';
import type { Extender, Victims } from './extender.ts';
import { noFitMessage } from './fit-message.ts';
import type { Rejection } from './filters.ts';
import type { Nomination, Nominator } from './nominator.ts';
import type { NodeInfo, NodeSnapshot, PodInfo } from './pod-info.ts';
import { selectCandidate } from './select-candidate.ts';

/** Defaults of DefaultPreemptionArgs. */
const MIN_CANDIDATES_PERCENT = 10;
const MIN_CANDIDATES = 100;

/** What a preemption is decided on. */
export interface PreemptionInput {
  /** The pod as the informer has it now. */
  readonly info: PodInfo;
  readonly snapshot: NodeSnapshot;
  /** Why each node was rejected. A node that is missing here was left out by an extender: nothing helps there. */
  readonly rejections: ReadonlyMap<string, Rejection>;
  readonly nominator: Nominator;
  readonly budgets: readonly KubeObject[];
  readonly extenders: readonly Extender[];
  readonly random: Random;
  readonly nowMs: number;
}

/** `foundCandidates`: evicting somebody would have made room, whatever became of it. */
export type PreemptionVerdict =
  | { readonly kind: 'preempt'; readonly node: string; readonly victims: Victims; readonly message: string }
  | {
      readonly kind: 'none';
      readonly message: string;
      readonly nomination: Nomination;
      readonly foundCandidates: boolean;
    };

/** `Evaluator.evaluate` of DefaultPreemption: who is evicted where. Nothing is done yet. */
export async function evaluatePreemption(input: PreemptionInput): Promise<PreemptionVerdict> {
  const ineligible = ineligibility(input);
  if (ineligible !== null) return none(ineligible);

  const { candidates, reasons, errors } = findCandidates(input);
  if (candidates.size === 0) {
    if (errors.length > 0) return none(errors.join(', '));
    // Evicting does not help anywhere: a nomination has no point either.
    return { ...none(noFitMessage(input.snapshot.size, reasons)), nomination: '' };
  }
  let accepted: ReadonlyMap<string, Victims>;
  try {
    accepted = await askExtenders(input, candidates);
  } catch (error) {
    if (error instanceof ExtenderError) return none(error.message, true);
    throw error;
  }
  const node = selectCandidate(accepted, input.nowMs);
  const victims = accepted.get(node ?? '');
  if (node === null || victims === undefined) return none('no candidate node for preemption', true);
  const message = `found a potential placement for pod on node ${node}, preempting ${victims.pods.length} victims`;
  return { kind: 'preempt', node, victims, message };
}

function none(message: string, foundCandidates = false): PreemptionVerdict & { readonly kind: 'none' } {
  return { kind: 'none', message, nomination: null, foundCandidates };
}

/** `PodEligibleToPreemptOthers`: why the pod may not preempt now, or null. */
function ineligibility({ info: { pod }, snapshot, rejections }: PreemptionInput): string | null {
  if (pod.preemptionPolicy === 'Never') return 'not eligible due to preemptionPolicy=Never.';
  const nominated = snapshot.get(pod.nominatedNodeName ?? '');
  if (nominated === undefined) return null;
  const rejection = rejections.get(nominated.node.name);
  if (rejection?.unresolvable ?? true) return null;
  const isTerminating = nominated.pods.some(
    (other) => other.pod.priority < pod.priority && other.pod.deletionMs !== null && other.pod.disruptionTarget,
  );
  return isTerminating ? 'not eligible due to a terminating pod on the nominated node.' : null;
}

function findCandidates(input: PreemptionInput): {
  readonly candidates: ReadonlyMap<string, Victims>;
  readonly reasons: readonly string[];
  readonly errors: readonly string[];
} {
  const potential: NodeInfo[] = [];
  for (const [name, node] of input.snapshot) {
    if (input.rejections.get(name)?.unresolvable === false) potential.push(node);
  }
  const wanted = Math.min(
    potential.length,
    Math.max(MIN_CANDIDATES, Math.floor((potential.length * MIN_CANDIDATES_PERCENT) / 100)),
  );
  // All are tried where that is cheap, and then the place to start does not matter.
  const offset = potential.length > 0 ? input.random.integer(0, potential.length - 1) : 0;
  const candidates = new Map<string, Victims>();
  const errors: string[] = [];
  const reasons: string[] = Array<string>(input.snapshot.size - potential.length).fill(
    'Preemption is not helpful for scheduling',
  );
  let withoutViolation = 0;
  for (let at = 0; at < potential.length; at++) {
    const node = potential[(offset + at) % potential.length] as NodeInfo;
    const dryRun = selectVictimsOn(input.info, node, input);
    if (dryRun.victims === null) {
      reasons.push(...dryRun.reasons);
      if (dryRun.isError) errors.push(...dryRun.reasons);
      continue;
    }
    candidates.set(node.node.name, dryRun.victims);
    if (dryRun.victims.numPdbViolations === 0) withoutViolation++;
    if (withoutViolation > 0 && candidates.size >= wanted) break;
  }
  return { candidates, reasons, errors };
}

/** `callExtenders`: each narrows what the next is offered; nothing left ends it. */
async function askExtenders(
  { info, snapshot, extenders }: PreemptionInput,
  candidates: ReadonlyMap<string, Victims>,
): Promise<ReadonlyMap<string, Victims>> {
  let offered = candidates;
  for (const extender of extenders) {
    if (!extender.supports('preempt') || !extender.isInterestedIn(info)) continue;
    let accepted: Map<string, Victims>;
    try {
      accepted = await extender.preempt(info, offered, snapshot);
    } catch (error) {
      if (error instanceof ExtenderError && extender.isIgnorable) continue;
      throw error;
    }
    for (const [node, victims] of accepted) {
      if (victims.pods.length > 0) continue;
      if (!extender.isIgnorable) throw new ExtenderError(`expected at least one victim pod on node "${node}"`);
      accepted.delete(node);
    }
    offered = accepted;
    if (offered.size === 0) break;
  }
  return offered;
}
