/**
 * `npm run test:faults -- --soak DAYS`: one cluster under constant churn for so many virtual days, with neither replica ever
 * restarted. Whatever grows with time in a process that runs for months grows here.
 */
import { writeFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { RESOURCES } from '../../src/kube/resources.ts';
import { nodeSpec } from '../../src/sim/nodes/node-spec.ts';
import { Random } from '../../src/sim/random.ts';
import { job, podSpec, replicated, worker } from './operations.ts';
import { SECOND } from './plan.ts';
import { flatPlot, type Line } from './soak-plot.ts';
import { World } from './world.ts';

const HOUR = 3_600 * SECOND;
const DAY = 24 * HOUR;
/** Samples of a day. */
const SAMPLES = 4;
/** A line is flat where the last third of its samples is not above the second third by more than this share, or this many. */
const SLOPE_SHARE = 0.1;
const SLOPE_COUNT = 10;

/** What is measured, and in what unit it is told. */
const MEASURES = {
  'heap (MB)': () => Math.round(process.memoryUsage().heapUsed / 2 ** 20),
  timers: (world) => world.clock.pending,
  watches: (world) => world.api.watchCount,
  'objects in the index': (world) =>
    sum(world, (state) => sumOf(Object.values(state.watches).map(({ objects }) => objects))),
  tickets: (world) => sum(world, (state) => sumOf(Object.values(state.tickets.byPhase))),
  decisions: (world) => sum(world, ({ displacements }) => displacements.length),
  'held and refused': (world) => sum(world, ({ held, refused }) => held.length + refused.length),
  'resting or in flight': (world) => sum(world, ({ resting, inFlight }) => resting.length + inFlight.length),
  'objects in the API server': (world) => sumOf(Object.values(RESOURCES).map((kind) => world.api.list(kind).length)),
} as const satisfies Record<string, (world: World) => number>;

type State = ReturnType<NonNullable<World['replicas'][number]>['reprieve']['describe']>;

export async function soak(days: number, svgFile: string | undefined): Promise<boolean> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const nodes = Array.from({ length: 4 }, (_, index) => nodeSpec(`node-${index + 1}`));
  const world = new World({
    seed: 1,
    nodes,
    latencyMs: 1,
    lagMs: 200,
    settings: { ticketRetentionMs: 300 * SECOND, maxGateMs: 60 * SECOND },
    steps: [],
  });
  // What is judged write by write elsewhere would take most of the time here. Who leads is asked for with each request.
  world.api.hooks.written = (write) => {
    if (write.kind === RESOURCES.leases) world.truth.written(write);
  };
  world.begin();
  const churn = new Churn(world);
  await churn.begin();
  const lines: Line[] = Object.keys(MEASURES).map((name) => ({ name, values: [] }));
  for (let sample = 1; sample <= days * SAMPLES && world.violation === null; sample++) {
    const endMs = (sample * DAY) / SAMPLES;
    while (world.elapsedMs < endMs && world.violation === null) await churn.step();
    world.truth.forget();
    await churn.expire();
    world.api.compact(); // history fills up to a limit, which takes days for kinds that change rarely
    await world.restartScheduler(); // it keeps a list of all it ever did
    collect();
    for (const [index, measure] of Object.values(MEASURES).entries()) lines[index]?.values.push(measure(world));
    console.log(
      `day ${(sample / SAMPLES).toFixed(2).padStart(5)}: ${lines.map(({ name, values }) => `${name} ${values.at(-1)}`).join(', ')}`,
    );
  }
  const { saved, restored } = { saved: world.ledger.count('saved'), restored: world.ledger.count('restored') };
  console.log(`${days} days: ${churn.operations} operations, ${saved} pods saved, ${restored} restored`);
  if (world.violation !== null) console.log(`${world.violation.invariant}: ${world.violation.message}`);
  if (svgFile !== undefined) writeFileSync(svgFile, flatPlot(`${days} virtual days, ${saved} pods saved`, days, lines));
  const rising = lines.filter(({ values }) => !isFlat(values));
  for (const { name, values } of rising) console.log(`NOT FLAT  ${name}: ${values.join(' ')}`);
  return world.violation === null && rising.length === 0;
}

/** Pods that come and go, for ever. */
class Churn {
  readonly #world: World;
  readonly #random = new Random(7);
  #serial = 0;
  operations = 0;

  constructor(world: World) {
    this.#world = world;
  }

  async begin(): Promise<void> {
    await this.#create('priorityClasses', { metadata: { name: 'batch' }, value: 10 });
    await this.#create('priorityClasses', { metadata: { name: 'serving' }, value: 1000 });
    await this.#create('reprievePolicies', {
      metadata: { name: 'batch' },
      spec: {
        match: { priorityClassNames: ['batch'] },
        preemption: { decision: 'Always' },
        restore: { maxWait: '300s' },
      },
    });
    for (let index = 0; index < 4; index++) {
      await this.#create('statefulSets', replicated(`notebook-${index}`, 2, worker(this.#random, `notebook-${index}`)));
      await this.#create('deployments', replicated(`crawler-${index}`, 2, worker(this.#random, `crawler-${index}`)));
    }
  }

  /** About a minute of it. */
  async step(): Promise<void> {
    const { api, clock, machines } = this.#world;
    const random = this.#random;
    const name = `high-${++this.#serial}`;
    const spec = podSpec('serving', random.pick(['2', '4', '6']));
    // The webhook reviews the pod, and may ask the API server meanwhile: that takes time, which only `advance` gives.
    const created = this.#create('pods', { metadata: { name, namespace: 'default' }, spec });
    clock.setTimer(random.integer(30, 150) * SECOND, () => void this.#delete('pods', name));
    if (random.next() < 0.1) {
      const batch = `train-${this.#serial}`;
      await this.#create('jobs', job(batch, random, worker(random, batch)));
      clock.setTimer(random.integer(200, 900) * SECOND, () => void this.#delete('jobs', batch));
    }
    if (random.next() < 0.01) api.closeWatches();
    if (random.next() < 0.003) api.compact();
    if (random.next() < 0.01) {
      const machine = machines.get(`node-${random.integer(1, 4)}`);
      machine?.crashAgent();
      clock.setTimer(5 * SECOND, () => void machine?.restartAgent());
    }
    await clock.advance(random.integer(30, 90) * SECOND);
    await created;
  }

  /** Events last for an hour in a real API server, and PodGC removes what has ended. */
  async expire(): Promise<void> {
    const { admin, api } = this.#world;
    for (const { metadata } of api.list(RESOURCES.events)) {
      await this.#world.tryTo(() => admin.delete(RESOURCES.events, metadata.namespace ?? null, metadata.name));
    }
    const ended = api.list(RESOURCES.pods).filter(({ status }) => (status as { phase: string }).phase === 'Succeeded');
    for (const { metadata } of ended) await this.#delete('pods', metadata.name);
  }

  async #create(kind: keyof typeof RESOURCES, object: object): Promise<void> {
    this.operations++;
    const type = RESOURCES[kind];
    await this.#world.tryTo(() => this.#world.admin.create(type, type.namespaced ? 'default' : null, object));
  }

  async #delete(kind: keyof typeof RESOURCES, name: string): Promise<void> {
    this.operations++;
    await this.#world.tryTo(() => this.#world.admin.delete(RESOURCES[kind], 'default', name));
  }
}

function isFlat(values: readonly number[]): boolean {
  const third = Math.floor(values.length / 3);
  const before = median(values.slice(third, 2 * third));
  const after = median(values.slice(2 * third));
  return after - before <= Math.max(SLOPE_COUNT, before * SLOPE_SHARE);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

function sum(world: World, of: (state: State) => number): number {
  return sumOf(world.replicas.map((replica) => (replica === null ? 0 : of(replica.reprieve.describe()))));
}

function sumOf(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
