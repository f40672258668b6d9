/** Which node is emptied, and for whom: what kube-scheduler does not judge, or not by all that Reprieve has promised. */
import { preemptionIn } from '../support/preemption.ts';
import type { Displacement } from '../../src/domain/displacement.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { podWith, type Invariant } from './evidence.ts';
import { unless } from './excuses.ts';
import { podOf } from './parsed.ts';
import type { Truth } from './truth.ts';

const BUDGET_KEPT = 'no budget is overdrawn where another node would do';

export const ROOM_INVARIANTS = {
  [BUDGET_KEPT]: (truth, seen) => {
    if (seen.kind !== 'opened' || !isUndisturbed(truth)) return null;
    const { preemptor, node } = preemptionIn(seen.displacement);
    const asked = truth.questions.get(seen.by);
    const offered = asked?.Pod.metadata.uid === preemptor.uid ? (asked.NodeNameToMetaVictims ?? {}) : {};
    const overdrawn = (name: string): string | undefined => {
      const victims = (offered[name]?.Pods ?? []).flatMap((pod) => pod?.UID ?? []);
      return overdrawnBy(truth, victims);
    };
    const budget = overdrawn(node);
    const used = new Set(truth.openByLeader().map((open) => preemptionIn(open).node as string));
    const others = Object.keys(offered).filter((name) => !used.has(name) && overdrawn(name) === undefined);
    if (budget === undefined || others.length === 0) return null;
    const hasFailed = (name: string): boolean => truth.failedAttempts.mayBeLeftOut(truth, seen.by, preemptor.uid, name);
    const other = others.find((name) => !hasFailed(name)) ?? others[0];
    const broken = `${node} is emptied for ${preemptor.name}, which ${budget} does not allow beside what goes already; ${other} would do`;
    return unless(truth, BUDGET_KEPT, broken, {
      'a node where an attempt has failed': () => others.every(hasFailed),
    });
  },

  'a pod that grows has its room before it is taken for served': (truth, seen) => {
    if (seen.kind !== 'closed' || seen.because !== 'Bound') return null;
    const { preemptor, node } = preemptionIn(seen.displacement);
    const raw = podWith(truth, preemptor.uid);
    return raw !== undefined && podOf(raw).resizeDeferred
      ? `${preemptor.name} waits for more room on ${node}, and its displacement is closed as if it had come there only now`
      : null;
  },
} as const satisfies Record<string, Invariant>;

/** What Reprieve sees is what is, and nothing fails but what nodes and policies do not allow. */
function isUndisturbed({ world: { plan } }: Truth): boolean {
  return plan.lagMs === 0 && plan.steps.every(({ kind }) => kind === 'operation');
}

/** The first budget that does not allow these pods to go beside those of open displacements; each pod counts once. */
function overdrawnBy(truth: Truth, victims: readonly string[]): string | undefined {
  const going = truth.openByLeader().flatMap(({ pods }: Displacement) => pods.map(({ uid }): string => uid));
  const healthy = [...new Set([...going, ...victims])].flatMap((uid) => {
    const raw = podWith(truth, uid);
    return raw !== undefined && raw.metadata.deletionTimestamp === undefined && podOf(raw).ready ? [podOf(raw)] : [];
  });
  return truth.world.api.list(RESOURCES.podDisruptionBudgets).find((budget) => {
    const { selector } = budget['spec'] as {
      readonly selector: { readonly matchLabels: Readonly<Record<string, string>> };
    };
    const { disruptionsAllowed = 0 } = (budget['status'] ?? {}) as { readonly disruptionsAllowed?: number };
    const wanted = Object.entries(selector.matchLabels);
    const covered = healthy.filter(({ labels }) => wanted.every(([key, value]) => labels[key] === value));
    return covered.some(({ uid }) => victims.includes(uid)) && covered.length > disruptionsAllowed;
  })?.metadata.name;
}
