/**
 * What an invariant lets pass although it looks broken. Each excuse is data, and each use is counted: one that no plan ever
 * needs looks away from something, and goes.
 */
import type { Truth } from './truth.ts';

export interface Excuse {
  /** The invariant that is excused. */
  readonly what: string;
  readonly excusedBy: string;
  readonly because: string;
}

/** Invariant -> what excuses it -> why. */
const REASONS = {
  'a victim is evicted saved, or as its policy allows': {
    'a webhook that is not known to be called': 'the replacement of a controller would start cold',
    'a RuntimeClass that is missing': 'the replacement would start cold',
    'a policy that demanded it only a moment ago': 'watches lag, and a request may be slow on its way',
    'a start that was only a moment ago': 'the pod was not running yet, as far as the decision could know',
    'the terms of another displacement':
      'what is left of a displacement that is over does not say on what terms its victim goes; the one it goes for does',
    'a reused checkpoint that went a moment ago': 'its deletion has not reached the leader yet',
  },
  'nobody goes before all are saved': {
    'a checkpoint beside it that is gone or going': 'who was to be saved by it goes as if saving had failed',
    'a silent agent': 'its node saves nothing, so that no preemption waits for it until the deadline',
  },
  'kube-scheduler evicts nobody that is to be saved': {
    'a webhook that is not known to be called': 'the replacement of a controller would start cold',
    'a RuntimeClass that is missing': 'the replacement would start cold',
    'a policy that demanded it only a moment ago': 'watches lag, and a request may be slow on its way',
    'a start that was only a moment ago': 'the pod was not running yet, as far as the decision could know',
  },
  'the ticket is durable before the delete': {
    'a freeze that holds it for no eviction': 'one that goes unsaved may stand frozen by an order of somebody else',
  },
  'nobody goes before every webhook that answers from its index knows the ticket': {
    'the end of the time for saving':
      'what is saved goes rather with a replacement that may start cold than without its state',
    'an event that its watch has lost':
      'which no API server lets happen, and no replica can notice before it lists again',
  },
  'what is committed never goes on': {
    'a bound that came while its node heard nothing':
      'nothing stays frozen for ever: its state is worth nothing from then on, and is not restored',
  },
  'a saved process continues once': {
    'its own deletion': 'the pod or its ticket was deleted in the moment in which it was restored',
    'a node that runs on without its pod': 'the pod was removed by force, and its node has not heard of it',
  },
  'what is saved passes over to a higher preemptor': {
    'a hold that ends too soon': 'the node would thaw the pod before the other victims are saved',
    'a record that came late': 'the higher preemptor was decided for before the leader saw the ticket',
  },
  'a bare pod is created again': {
    'a name that is taken': 'nobody can create a second pod of that name',
    'trouble of those who would': 'they were dead, cut off or behind',
    'an API server that refuses it until then':
      'nobody can create it; without our class, which may be what is refused, one that is to be held would start cold',
  },
  'records never contradict each other': {
    'a term that ended between two decisions':
      'a leader may open a displacement and lose its term before it has undone the one before: its successor tells of both',
    'a record that somebody damaged': 'the contradiction is real, and has to be told',
    'a gate that a person removed': 'a bare pod has no gate any more before its ticket has claimed it',
  },
  'a displacement ends for what is true': {
    'trouble of those who decide': 'their picture may be as old as what a lagging watch allows',
  },
  'what must not start cold is held': {
    'a gate that a person removed': 'it means now: what cannot be restored then starts cold where it is',
  },
  'a node that failed is not tried again': {
    'a gate that a person removed': 'a decision by hand: the person may have repaired the node',
  },
  'a failed restore is tried on another node': {
    'a gate that a person removed': 'it means now: what cannot be restored then starts cold where it is',
    'trouble of those who decide': 'their picture of the nodes may be as old as what a lagging watch allows',
  },
  'a pod whose gate a person removed is restored if it can be': {
    'a pod that does not name its ticket yet': 'the claim is written into the ticket first, and then into the pod',
  },
  'a ticket is for a replacement of its own displacement': {
    'a replacement that came only a moment ago': 'the watch of the leader has not brought it yet',
  },
  'a pod that was disrupted gives its ticket back': {
    'a node that could not restore it, a moment before': 'the watch of the leader has not brought the deletion yet',
  },
  'a claim ends with its pod or its state': {
    'a state that is gone or going': 'without a state there is nothing to continue',
    'a victim that never goes': 'its ticket waits no longer than it would have for room',
    'a restore that failed': 'the pod is replaced, and another one continues the state',
    'a person who abandons it': 'whoever writes reprieve.dev/decide: abandon wants the pod to start without the state',
    'a person who has it tried again': 'the pod has started cold, and the next one is to continue the state',
  },
  'nobody is evicted for a preemptor that is gone': {
    'an end that is only a moment old': 'the request was on its way, or its sender behind',
    'the terms of another displacement':
      'what is left of an earlier displacement does not say for whom its victim goes',
  },
  'a pod is frozen when its disk is free': {
    'a thaw that fails': 'the runtime of its node answers with an error, and the agent tries again',
  },
  'a pod that is never marked is thawed without asking anybody': {
    'a thaw that fails': 'the runtime of its node answers with an error, and the agent tries again',
  },
  'nobody waits for a process that no longer leads': {
    'room that is being made for it': 'nothing but waiting is left while the node of a victim is cut off',
  },
  'no budget is overdrawn where another node would do': {
    'a node where an attempt has failed':
      'its pods would stand still in vain again, and the preemptor would wait for that',
  },
  'kube-scheduler gets a valid answer': {
    'victims that are going for it already': 'a question about other nodes is answered by what was decided before',
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, string>>>>;

export type Excused = keyof typeof REASONS;
type ExcuseOf<What extends Excused> = keyof (typeof REASONS)[What] & string;

export const EXCUSES: readonly Excuse[] = Object.entries(REASONS).flatMap(([what, reasons]) =>
  Object.entries(reasons).map(([excusedBy, because]) => ({ what, excusedBy, because })),
);

/** Of any number of runs: how often each excuse was used. */
export type ExcuseCounts = Readonly<Record<string, number>>; // `${what}: ${excusedBy}` -> times

/** Judges what looks broken: null where an excuse holds, which is counted. The first that holds counts alone. */
export function unless<What extends Excused>(
  truth: Truth,
  what: What,
  broken: string | null,
  excuses: Partial<Readonly<Record<ExcuseOf<What>, () => boolean>>>,
): string | null {
  if (broken === null) return null;
  for (const [excusedBy, holds] of Object.entries<(() => boolean) | undefined>(excuses)) {
    if (holds?.() !== true) continue;
    truth.excuse(`${what}: ${excusedBy}`);
    return null;
  }
  return broken;
}

export function addCounts(counts: Map<string, number>, more: ExcuseCounts): void {
  for (const [name, times] of Object.entries(more)) counts.set(name, (counts.get(name) ?? 0) + times);
}

function unusedExcuses(counts: ReadonlyMap<string, number>): readonly Excuse[] {
  return EXCUSES.filter(({ what, excusedBy }) => !counts.has(`${what}: ${excusedBy}`));
}

/** A line for each excuse, the invariants in their order. */
export function excuseReport(counts: ReadonlyMap<string, number>): string {
  const lines = EXCUSES.map(({ what, excusedBy, because }) => {
    const times = String(counts.get(`${what}: ${excusedBy}`) ?? 0).padStart(7);
    return `${times}  ${what}, but for ${excusedBy}: ${because}`;
  });
  const unused = unusedExcuses(counts).map(({ what, excusedBy }) => `never used: ${what}, but for ${excusedBy}`);
  return ['excuses, and how often each was used:', ...lines, ...unused].join('\n');
}
