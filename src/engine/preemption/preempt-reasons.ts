/** Why `preempt` was answered as it was, once: metric label, log field and `REFERENCE.md`. */
export const PREEMPT_REASONS = {
  Unsynced: 'The index is not complete yet, or this replica does not lead; `extender.onUnsynced` chooses the answer.',
  NothingProtected: 'No victim on any offered node is protected: kube-scheduler chooses.',
  NoneToSave: 'The cheapest node needs no checkpoint: its victims go at once.',
  Saving: 'A displacement was made: its victims are saved first.',
  StillSaving: 'A displacement exists and is still saving.',
  Displacing: 'A displacement exists and its victims are terminating: that node with those victims.',
  AllReserved: 'Every offered node is taken by a displacement of equal or higher priority, or failed a moment ago.',
  Paused: 'Operators have paused Reprieve, and each offered node has a victim that must not go unsaved.',
  NoKnownVictims: 'The index holds none of the victims that the candidates name.',
} as const;

export type PreemptReason = keyof typeof PREEMPT_REASONS;
