/** Judges the answers to kube-scheduler by its question, and by what is true in the API server. */
import type { KubeObject } from '../../src/kube/transport.ts';
import { podOf } from './parsed.ts';
import { podWith } from './evidence.ts';
import { unless } from './excuses.ts';
import type { Truth } from './truth.ts';

/** `ExtenderPreemptionArgs`, as far as it is looked at. */
export interface PreemptQuestion {
  readonly Pod: {
    readonly metadata: { readonly uid: string; readonly name: string };
    readonly spec: { readonly priority?: number };
  };
  readonly NodeNameToMetaVictims?: Readonly<Record<string, MetaVictims>>;
}

export interface PreemptAnswer {
  readonly NodeNameToMetaVictims?: Readonly<Record<string, MetaVictims | null>>;
}

interface MetaVictims {
  readonly Pods?: readonly ({ readonly UID?: string } | null)[] | null;
  readonly NumPDBViolations?: number;
}

const WHAT = 'kube-scheduler gets a valid answer';

export function invalidAnswer(truth: Truth, verb: string, body: string, text: string): string | null {
  const answer = JSON.parse(text) as PreemptAnswer | null;
  if (answer === null) return `${verb}: null`;
  if (verb !== 'preempt') return null;
  const question = JSON.parse(body) as PreemptQuestion;
  for (const [node, victims] of Object.entries(answer.NodeNameToMetaVictims ?? {})) {
    const uids = (victims?.Pods ?? []).map((pod) => pod?.UID ?? '');
    const broken =
      malformed(node, uids) ?? untrue(truth, question, node, uids) ?? unasked(truth, question, node, victims, uids);
    if (broken !== null) return broken;
  }
  return null;
}

function malformed(node: string, uids: readonly string[]): string | null {
  if (uids.length === 0) return `no victims for ${node}`;
  if (uids.includes('')) return `a victim without a UID on ${node}`;
  return new Set(uids).size === uids.length ? null : `a victim twice on ${node}`;
}

/** A pod never changes its node or its priority: no lag excuses that. One that is gone says nothing. */
function untrue(truth: Truth, { Pod }: PreemptQuestion, node: string, uids: readonly string[]): string | null {
  for (const uid of uids) {
    const raw = podWith(truth, uid);
    if (raw === undefined) continue;
    const { name, nodeName, priority } = podOf(raw);
    if (nodeName !== node) return `${name} as a victim on ${node}, and it is on ${nodeName ?? 'no node'}`;
    if (priority >= (Pod.spec.priority ?? 0)) return `${name} as a victim of a pod that is not more important`;
  }
  return null;
}

function unasked(
  truth: Truth,
  question: PreemptQuestion,
  node: string,
  victims: MetaVictims | null,
  uids: readonly string[],
): string | null {
  const asked = question.NodeNameToMetaVictims?.[node];
  const offered = new Set(asked?.Pods?.map((pod) => pod?.UID));
  const other = uids.find((uid) => !offered.has(uid));
  const isGoing = (): boolean => uids.every((uid) => isGoingOrGone(podWith(truth, uid)));
  if (other !== undefined) {
    const broken = `${other} as a victim on ${node}, about which nobody asked`;
    return unless(truth, WHAT, broken, { 'victims that are going for it already': isGoing });
  }
  const [want, have] = [asked?.NumPDBViolations ?? 0, victims?.NumPDBViolations ?? 0];
  if (want === have) return null;
  const broken = `${have} violations of budgets on ${node}, where kube-scheduler counted ${want}`;
  return unless(truth, WHAT, broken, { 'victims that are going for it already': isGoing });
}

export function isGoingOrGone(pod: KubeObject | undefined): boolean {
  return pod === undefined || pod.metadata.deletionTimestamp !== undefined;
}
