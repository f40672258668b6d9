import { afterEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { DEBUG_FIELDS } from '../../src/observe/debug-fields.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { demoScenario, type Scenario } from '../../src/sim/scenario.ts';
import { Random } from '../../src/sim/random.ts';
import { Story } from '../../src/sim/story.ts';

const SECRET = 'hunter2-planted';
/** Seed whose story has a queue, displacements, and everything else a dump shows. */
const SEED = 2;

const running: Story[] = [];
afterEach(async () => {
  for (const story of running.splice(0)) await story.cluster.stop();
});

/** The same object with a secret in all that a pod may hold one in: environment, arguments and annotations. */
function withSecrets(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withSecrets);
  if (typeof value !== 'object' || value === null) return value;
  const copy: Record<string, unknown> = {};
  for (const [key, child] of Object.entries(value)) copy[key] = withSecrets(child);
  if ('image' in copy) {
    Object.assign(copy, { env: [{ name: 'PASSWORD', value: SECRET }], args: [SECRET], command: ['sh', SECRET] });
  }
  if ('metadata' in copy) {
    const metadata = copy['metadata'] as { annotations?: object };
    copy['metadata'] = { ...metadata, annotations: { ...metadata.annotations, 'example.com/token': SECRET } };
  }
  return copy;
}

function planted(): Scenario {
  const scenario = demoScenario(new Random(SEED).fork('scenario'));
  const actions = scenario.actions.map((action) =>
    action.kind === 'create' ? { ...action, object: withSecrets(action.object) as object } : action,
  );
  return { ...scenario, actions };
}

const count = z.int().nonnegative();
const seconds = z.number();
const name = z.string().regex(/^[a-z0-9-]+\/[a-z0-9.-]+$/);
const word = z.string().regex(/^[A-Za-z]+$/);
const uid = z.string().regex(/^[a-z]+:[0-9a-f-]+$/);
const version = z.string().regex(/^\d+$/);
const obstacles = z.strictObject({
  incompatible: count,
  unsuitable: count,
  saturated: count,
  conflicting: count,
  full: count,
  promised: count,
});

/** Exactly what a dump may hold: a new field is a decision, and stands here. */
const SCHEMA = z.strictObject({
  time: z.iso.datetime(),
  instance: z.string(),
  synced: z.boolean(),
  webhook: z.strictObject({ called: z.boolean(), message: z.string(), missedIn: z.array(z.string()) }),
  replicas: z
    .strictObject({
      own: z.strictObject({ state: word, why: z.string().nullable(), seen: version }),
      waitedFor: z.array(z.strictObject({ name: z.string(), seen: version })),
    })
    .nullable(),
  leads: z.boolean(),
  mayAct: z.boolean(),
  displacements: z.array(
    z.strictObject({
      id: z.string(),
      cause: word,
      beneficiary: z.strictObject({ pod: name, priority: z.int() }).nullable(),
      age: seconds,
      left: seconds,
      behind: z.array(z.string()),
      pods: z.array(
        z.strictObject({
          pod: name,
          node: z.string(),
          plan: word,
          state: word,
          waitsFor: z.string().max(200).nullable(),
        }),
      ),
    }),
  ),
  held: z.array(z.strictObject({ preemptor: name, node: z.string(), until: z.string(), age: seconds })),
  refused: z.array(z.strictObject({ preemptor: name, node: z.string(), left: seconds })),
  tickets: z.strictObject({
    byPhase: z.record(word, count),
    open: z.array(
      z.strictObject({
        ticket: name,
        phase: word,
        age: seconds,
        priority: z.int(),
        pod: z.string().nullable(),
        attempts: count,
        waitsFor: z.string().max(40),
        nodes: obstacles.optional(),
      }),
    ),
    more: count,
  }),
  frozen: z.array(z.strictObject({ pod: name, node: z.string(), checkpoint: z.string(), cause: word, age: seconds })),
  inFlight: z.array(z.strictObject({ about: uid, command: word, age: seconds })),
  resting: z.array(z.strictObject({ about: uid, failures: count, left: seconds })),
  settings: z.record(z.string(), z.number()),
  costs: z.record(z.string(), z.number()),
  onUnsynced: word,
  watches: z.record(
    word,
    z.strictObject({
      objects: count,
      age: seconds.nullable(),
      synced: z.boolean(),
      restarts: count,
      relists: count,
      missed: count,
      redundant: count,
      events: count,
      invalid: count,
    }),
  ),
  eventsDropped: count,
});

describe('/debug/state of a busy cluster', () => {
  it('has the fields that the reference promises', () => {
    expect(Object.keys(SCHEMA.shape).toSorted()).toEqual(Object.keys(DEBUG_FIELDS).toSorted());
  });

  it('shows all that is under way, in its schema, and nothing that pods hold', async () => {
    let dumps = 0;
    const story = new Story({
      seed: SEED,
      withReprieve: true,
      scenario: planted(),
      faults: { dumpFails: () => (++dumps % 3 === 0 ? 'disk full' : null) },
    });
    running.push(story);
    const reprieve = story.cluster.reprieve as NonNullable<typeof story.cluster.reprieve>;
    const shown = new Set<string>();
    const problems: unknown[] = [];
    let changes = 0;
    const look = (): void => {
      const text = JSON.stringify(reprieve.describe());
      expect(text).not.toContain(SECRET);
      const state = SCHEMA.parse(JSON.parse(text));
      for (const part of ['displacements', 'frozen', 'inFlight', 'resting'] as const)
        if (state[part].length > 0) shown.add(part);
      if (state.tickets.open.some(({ nodes }) => nodes !== undefined)) shown.add('obstacles');
      for (const { pods } of state.displacements) for (const victim of pods) shown.add(`victim ${victim.state}`);
    };
    reprieve.index.onChange(() => {
      if (++changes % 2 !== 0) return;
      try {
        look();
      } catch (error) {
        problems.push(error); // thrown here, it would only be a failed write of the engine's
      }
    });
    await story.start();
    // The API server is away for a moment while pods are displaced: writes fail and rest.
    story.cluster.api.hooks.intercept = async ({ path }) =>
      path.includes('reprieves') && story.elapsedMs > 150_000 && story.elapsedMs < 151_000 ? 'reset' : null;
    await story.play();
    expect(problems).toEqual([]);
    for (const type of [RESOURCES.pods, RESOURCES.reprieves])
      expect(JSON.stringify(story.cluster.api.list(type))).toContain(SECRET);
    expect([...shown].toSorted()).toEqual(
      expect.arrayContaining([
        'displacements',
        'frozen',
        'inFlight',
        'obstacles',
        'resting',
        'victim failed',
        'victim gone',
        'victim ready',
        'victim terminating',
        'victim unfinished',
      ]),
    );
  });
});
