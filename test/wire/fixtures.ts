import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TICKET_ANNOTATION } from '../../src/domain/labels.ts';
import { EXTENDER_VERBS, type ExtenderVerb } from '../../src/http/extender-handler.ts';

/** A body as kube-scheduler sent it. */
export interface Fixture {
  readonly file: string;
  readonly verb: ExtenderVerb;
  readonly text: string;
}

/** Name of the ticket that the pods of {@link restoredPodBodies} continue. */
export const RESTORED_TICKET = 'recorded';

const folder = join(import.meta.dirname, '../fixtures/wire');

/** All recorded bodies; the verb is the first part of the file name. */
export function readFixtures(): readonly Fixture[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.json'))
    .sort()
    .map((file) => {
      const verb = EXTENDER_VERBS.find((known) => file.startsWith(`${known}.`));
      if (verb === undefined) throw new Error(`${file} does not begin with an extender verb`);
      return { file, verb, text: readFileSync(join(folder, file), 'utf8') };
    });
}

/**
 * The recorded filter and prioritize bodies, with the one thing changed that lifting the gate changes: the pod continues a
 * ticket. Pods without one pass the engine unexamined.
 */
export function restoredPodBodies(): readonly Fixture[] {
  return readFixtures()
    .filter(({ verb }) => verb !== 'preempt')
    .map(({ file, verb, text }) => {
      const body = JSON.parse(text) as { Pod: { metadata: { annotations?: Record<string, string> } } };
      body.Pod.metadata.annotations = { ...body.Pod.metadata.annotations, [TICKET_ANNOTATION]: RESTORED_TICKET };
      return { file: `${file}, restored`, verb, text: JSON.stringify(body) };
    });
}
