import type { CheckpointRules } from '../../domain/checkpoint-rules.ts';
import { quantityToInteger } from '../../domain/quantity.ts';
import { CHECKPOINT_DEFAULTS } from '../crd/checkpoint-rules.ts';

/** The rules in a policy, a ticket or a PodCheckpoint; what is missing there is as the schema has it. */
export function checkpointRulesOf(
  given: { readonly [K in keyof typeof CHECKPOINT_DEFAULTS]?: string | null | undefined } | null | undefined,
): CheckpointRules {
  const { sockets, volumes, maxBytes } = CHECKPOINT_DEFAULTS;
  return {
    sockets: (given?.sockets ?? sockets) as CheckpointRules['sockets'],
    volumes: (given?.volumes ?? volumes) as CheckpointRules['volumes'],
    maxBytes: quantityToInteger(given?.maxBytes ?? maxBytes),
  };
}
