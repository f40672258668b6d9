import type { Cause, DisplacementFor } from '../../domain/displacement.ts';
import type { Disruption } from '../../ports/cluster-writer.ts';
import type { EngineSettings, Steps, World } from '../core/steps.ts';
import type { CloseReason } from '../displace/close-reasons.ts';
import type { WakeList } from '../preemption/wake-list.ts';
import type { Rests } from '../propose/rests.ts';
import type { ClusterView } from '../../index/types.ts';

/** Why a displacement is over. */
export interface Ending {
  readonly because: CloseReason;
  readonly message: string;
}

/**
 * What follows from the kind of a cause. The engine asks for it where displacements of two causes differ, and for nothing
 * else; saving, evicting and coming back are the same for all. A step function reads the cluster as `core/steps.ts` says.
 *
 *     decided ──ending?──> closed ──onEnding──> ...
 *        │ whileOpen
 *        v
 *     saved ──inVain?──> evicted (disruption) ──> all gone ──afterGone──> ...
 */
export interface CauseRules<Of extends Cause> {
  /** Of two displacements that want one node, the one of higher rank has it; of equal ranks the beneficiary's priority counts. */
  readonly rank: number;
  /** It has the node to itself, beside displacements of others that want none; else it wants its pods only. */
  readonly wantsNode: boolean;
  /** Why it is over; null while it is to be carried out. */
  readonly ending: (world: World, displacement: DisplacementFor<Of>, steps: Steps) => Ending | null;
  /** What is written while pods are being saved, beside tickets and checkpoints. */
  readonly whileOpen: (world: World, displacement: DisplacementFor<Of>, steps: Steps) => void;
  /** Asked before pods are evicted: why their room would not serve the cause any more, so that it is over; null while it would. */
  readonly inVain: (world: World, displacement: DisplacementFor<Of>) => Ending | null;
  /** What is done when all of its pods have left. */
  readonly afterGone: (world: World, displacement: DisplacementFor<Of>, steps: Steps) => void;
  /** What follows when it was closed. */
  readonly onEnding: (context: EndingContext, displacement: DisplacementFor<Of>, because: CloseReason) => void;
  /**
   * The condition `DisruptionTarget` that an evicted pod gets, by which its controller knows why. Null: whoever asked deletes the pods,
   * and Reprieve evicts none of them.
   */
  readonly disruption: ((displacement: DisplacementFor<Of>) => Disruption) | null;
  readonly say: CauseTexts<Of>;
}

interface EndingContext {
  readonly view: ClusterView;
  readonly wakes: Pick<WakeList, 'refuse' | 'hold'>;
  readonly rests: Pick<Rests, 'failed' | 'forget'>;
  readonly settings: EngineSettings;
}

/** Parts of sentences in Events, conditions and the log. */
interface CauseTexts<Of extends Cause> {
  /** For what a pod is saved and evicted: `for default/serving`. */
  readonly purpose: (cause: Of) => string;
  /** The displacement as the subject of a sentence: `the preemption by default/serving`. */
  readonly subject: (cause: Of) => string;
  /** What its pods are told (Event `NotMoved`) when it has ended so; null: nothing. */
  readonly whyPodsStay: (ending: Ending) => string | null;
}
