import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { EXTENDER_VERBS, type ExtenderVerb } from '../../src/http/extender-handler.ts';

/** A body as kube-scheduler sent it. */
export interface Fixture {
  readonly file: string;
  readonly verb: ExtenderVerb;
  readonly text: string;
}

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
