import type { Displacement, PreemptionCause } from '../../src/domain/displacement.ts';

/** Of a displacement that is known to be a preemption. */
export function preemptionIn({ id, cause }: Pick<Displacement, 'id' | 'cause'>): PreemptionCause {
  if (cause.kind !== 'Preemption') throw new Error(`displacement ${id} is no preemption but ${cause.kind}`);
  return cause;
}
