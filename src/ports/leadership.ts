/**
 * Which of several replicas decides and writes. All keep their index warm; one leads, for a term.
 */
export interface Leadership {
  /**
   * Number of the present term of this replica, another one each time it comes to lead; null while it does not. Asked
   * before every decision and every write, so it must be cheap, and right at that moment: a process that was paused for
   * longer than its lease does not lead when it wakes up, whatever its timers have not told it yet.
   */
  term(): number | null;
}

/** A process that has no replicas. */
export const SOLE_LEADER: Leadership = { term: () => 1 };
