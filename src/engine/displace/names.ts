import type { Pod } from '../../domain/pod.ts';
import type { Clock } from '../../ports/clock.ts';

/**
 * Deterministic from the victim, so that a ticket is never made twice: `<pod>-<last 12 of its UID>`, 48 bits of chance.
 * Pods of one name follow each other within the life of a ticket (StatefulSets, restored bare pods), so the name must not
 * rest on fewer.
 */
export function ticketNameOf(pod: Pick<Pod, 'name' | 'uid'>): string {
  return `${trimmed(pod.name)}-${pod.uid.slice(-12)}`;
}

/** One checkpoint per ticket and displacement: a second displacement about the same pod makes another one. */
export function checkpointNameOf(ticketName: string, displacementId: string): string {
  return `${ticketName}-${displacementId}`;
}

interface IdSource {
  readonly clock: Pick<Clock, 'now'>;
  /** Distinguishes two processes that decide in the same millisecond. Lower-case letters and digits. */
  readonly instanceId: string;
}

/** Each call of the result gives another id of a displacement, of twelve characters: the time, a serial number, and the process. */
export function displacementIds({ clock, instanceId }: IdSource): () => string {
  let last = 0;
  return () => {
    last = (last + 1) % 36 ** 2;
    return `${clock.now().toString(36).slice(-7)}${last.toString(36).padStart(2, '0')}${instanceId.slice(0, 3)}`;
  };
}

/** Leaves room for both suffixes within the 253 characters of an object name, and ends on a character that may stand before a dash. */
function trimmed(name: string): string {
  return name.slice(0, 220).replace(/[^a-z0-9]+$/, '');
}
