import type { TicketReason } from './condition-reasons.ts';
import type { Pod } from './pod.ts';
import type { Ticket } from './ticket.ts';

/** What a controller said of itself when it was last read: whether it still makes pods that could continue its displaced ones. */
export interface OwnerFacts {
  /** Kind and name, for people. */
  readonly what: string;
  /** It makes no pod any more; null while it does. */
  readonly end: { readonly reason: OwnerEnd; readonly message: string } | null;
  /** How many evictions of its pods it bears; null where it bears that of all. */
  readonly failsByEviction: EvictionLimit | null;
  /** Pods that it makes to have as many as it wants; null where its pods are told apart, or it waits (a suspended Job). */
  readonly count: {
    readonly wants: number;
    /** By its own count, of what it had seen. */
    readonly lacks: number;
    /** Two reads in a row, seconds apart, found it so: what it lacks is not about to change. */
    readonly isSettled: boolean;
  } | null;
  /** Which of its pods it wants, by the numbers in their names or by their completion indexes; null where all, or none has one. */
  readonly numbers: {
    readonly first: number;
    readonly end: number;
    /** Work that is over, as a Job writes it: `1,3-5`. */
    readonly done: readonly string[];
  } | null;
}

/** A leader reads a Job of pods that would be saved so often: the count of the Job may lack what was evicted since. */
export const JOB_READ_EVERY_MS = 60_000;

/** What a controller bears that counts the eviction of a pod as its failure. */
export interface EvictionLimit {
  /** The eviction of more of its pods would fail it for good. */
  readonly bears: number;
  /** More failures of the pods of one index would fail that index for good, and the controller with it; null: none is counted by index. */
  readonly bearsOfIndex: number | null;
  /** What fails by it, and what prevents that. */
  readonly message: string;
}

/** The eviction of this pod alone would fail its controller for good. */
export function failsAlone(
  { bears, bearsOfIndex }: EvictionLimit,
  { indexFailures }: Pick<Pod, 'indexFailures'>,
): boolean {
  return bears === 0 || (bearsOfIndex !== null && indexFailures >= bearsOfIndex);
}

type OwnerEnd = Extract<TicketReason, 'OwnerGone' | 'OwnerComplete' | 'OwnerFailed'>;

/** Why a controller makes no pod for this one any more, whatever others it makes; null where it does, or may. */
export function whyUnwanted(
  { what, end, numbers }: OwnerFacts,
  { name, completionIndex }: Pick<Ticket['pod'], 'name' | 'completionIndex'>,
): { readonly reason: TicketReason; readonly message: string } | null {
  if (end !== null) return end;
  const number = completionIndex ?? ordinalOf(name);
  if (numbers === null || number === null) return null;
  const message = (why: string) => ({ reason: 'OwnerWantsFewer', message: `${what} ${why}` }) as const;
  if (number < numbers.first || number >= numbers.end) return message(`has no place ${number} any more`);
  return numbers.done.some((list) => holds(list, number)) ? message(`has finished index ${number}`) : null;
}

/** The number that a StatefulSet puts at the end of the names of its pods. */
function ordinalOf(name: string): number | null {
  const digits = /-(\d{1,9})$/.exec(name)?.[1];
  return digits === undefined ? null : Number(digits);
}

function holds(list: string, number: number): boolean {
  return list.split(',').some((range) => {
    const [first = '', last = first] = range.split('-');
    return first !== '' && Number(first) <= number && number <= Number(last);
  });
}
