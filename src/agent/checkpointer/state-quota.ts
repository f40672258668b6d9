import type { AgentConfiguration, StateLimits } from '../../config/configuration.ts';
import { parseReference } from '../state/layout.ts';
import { mebibytes } from './space.ts';

/** A state that is about to be written. */
export interface NewState {
  readonly namespace: string;
  /** Null: not known yet. */
  readonly reference: string | null;
  readonly bytes: number;
}

/**
 * Whether a state fits the quotas of its node and of its namespace there: null, or a message with the numbers. `usage`: what lies on
 * the disk or is about to, by its reference; the state itself may be among it.
 */
export function quotaExcess(
  { namespace, reference, bytes }: NewState,
  usage: ReadonlyMap<string, number>,
  quota: AgentConfiguration['quota'],
): string | null {
  const others = [...usage].filter(([other]) => other !== reference);
  const ofNamespace = others.filter(([other]) => namespaceOf(other) === namespace);
  const excess = ([whose, setting, limits, states]: Scope): string | null => {
    const fix = `delete PodCheckpoints that are not needed, or raise ${setting}`;
    if (states.length >= limits.states)
      return `${whose} ${states.length} states on this node, of ${limits.states}: ${fix}.states`;
    const used = states.reduce((sum, [, size]) => sum + size, 0);
    if (limits.bytes === null || used + bytes <= limits.bytes) return null;
    const sizes = `${mebibytes(used)} of states on this node, of ${mebibytes(limits.bytes)}`;
    return `${whose} ${sizes}, and this pod up to ${mebibytes(bytes)}: ${fix}.bytes`;
  };
  return (
    excess([`namespace ${namespace} has`, 'agent.quota.namespace', quota.namespace, ofNamespace]) ??
    excess(['all namespaces have', 'agent.quota.node', quota.node, others])
  );
}

type Scope = readonly [
  whose: string,
  setting: string,
  limits: StateLimits,
  states: readonly (readonly [string, number])[],
];

/** Of what is no reference: none. */
function namespaceOf(reference: string): string | null {
  try {
    return parseReference(reference).namespace;
  } catch {
    return null;
  }
}
