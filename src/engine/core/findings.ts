import type { Displacement } from '../../domain/displacement.ts';
import type { Contradiction, Steps } from './steps.ts';

/** What one pass found out, beside the commands. */
export interface Findings {
  readonly closed: Steps['closed'][number][];
  readonly emptied: Displacement[];
  readonly waiting: Steps['waiting'][number][];
  readonly proposals: Steps['proposals'][number][];
  /** Those that did not stand before. */
  readonly contradictions: Contradiction[];
  /** Those that were not said before. */
  readonly staying: Steps['staying'][number][];
}

export function noFindings(): Findings {
  return { closed: [], emptied: [], waiting: [], proposals: [], contradictions: [], staying: [] };
}

/** Adds what one step found, but what it may have said before. */
export function collect(findings: Findings, { closed, emptied, waiting, proposals }: Steps): void {
  findings.closed.push(...closed);
  findings.emptied.push(...emptied);
  findings.waiting.push(...waiting);
  findings.proposals.push(...proposals);
}
