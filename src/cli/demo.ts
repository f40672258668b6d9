import { styleText } from 'node:util';
import type { Reprieve } from '../app/reprieve.ts';
import { startServer, type RunningServer } from '../http/server.ts';
import { measureEngine } from '../observe/engine-metrics.ts';
import { createLog } from '../observe/log.ts';
import { Metrics } from '../observe/metrics.ts';
import { measureWatches } from '../observe/watch-metrics.ts';
import { systemClock } from '../ports/clock.ts';
import { peak } from '../sim/scenario.ts';
import { HttpExtender } from '../sim/scheduler/extender-transport.ts';
import { Story, type StoryFigures } from '../sim/story.ts';
import type { VirtualClock } from '../sim/virtual-clock.ts';
import { whenNobodyReads } from './process.ts';
import { tellTimeline } from './timeline.ts';

export interface DemoOptions {
  readonly once: boolean;
  readonly json: boolean;
  readonly seed: number;
  readonly speed: number;
}

const MINUTE_MS = 60_000;
/** Serving pods of a peak after the story: more than fit beside the batch work that never ends. */
const CROWD = 9;

/** Plays the story twice with one seed, live with Reprieve and unseen without it, and compares. Returns the exit code. */
export async function demo({ once, json, seed, speed }: DemoOptions): Promise<number> {
  process.once('SIGINT', () => {
    process.stderr.write('\nstopped\n');
    process.exit(130);
  });
  whenNobodyReads(() => process.exit(0));
  const print = json ? () => undefined : printLine;

  // Told first, so that the two runs share nothing: it takes a second or two, as fast as the machine can.
  const native = new Story({ seed, withReprieve: false });
  await native.start();
  await native.play();
  await native.cluster.stop();

  let server: RunningServer | null = null;
  let extender: HttpExtender | null = null;
  const story = new Story({
    seed,
    speed,
    withReprieve: true,
    extender: async (reprieve, clock) => {
      server = await serveEngine(reprieve, clock);
      extender = new HttpExtender({
        baseUrl: `http://127.0.0.1:${server.port}/v1`,
        clock: clock satisfies VirtualClock,
      });
      return extender;
    },
  });
  await story.start();
  const { port } = server as unknown as RunningServer;
  print(`reprieve demo: seed ${seed}, ${speed} seconds a second. Ctrl-C stops it.`);
  print(`kube-scheduler's calls go over http://127.0.0.1:${port}/v1`);
  print('Each minute, one mark for each CPU of each node: # serving, = batch, . free.');
  print('');
  tellTimeline(story, print);
  await story.play();

  const figures = { reprieve: story.figures(), native: native.figures() };
  for (const line of table(figures)) print(line);
  if (!once && !json) await goOn(story, print, port);
  await story.cluster.stop();
  await (extender as unknown as HttpExtender).close();
  await (server as unknown as RunningServer).close();
  if (json) printLine(JSON.stringify(summary(seed, figures)));
  return 0;
}

function printLine(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** The real server in front of the engine, on a free port of this machine only. */
async function serveEngine(reprieve: Reprieve, clock: VirtualClock): Promise<RunningServer> {
  const metrics = new Metrics();
  const { engine, index } = reprieve;
  measureEngine({ metrics, engine, view: index, clock });
  measureWatches(metrics, () => reprieve.reader.stats(), clock);
  return startServer({
    callbacks: engine,
    readiness: () => ({ ready: reprieve.isSynced, reasons: [] }),
    debugState: () => reprieve.describe(),
    metrics,
    log: createLog('silent'),
    clock: systemClock,
    tls: null,
    address: '127.0.0.1',
    port: 0,
  });
}

/** After the story: another peak every six minutes, for as long as somebody looks. */
async function goOn(story: Story, print: (line: string) => void, port: number): Promise<never> {
  print('');
  print('The cluster keeps running, with a peak every six minutes. Ctrl-C stops it. Meanwhile:');
  print(`  curl http://127.0.0.1:${port}/debug/state`);
  print(`  curl http://127.0.0.1:${port}/metrics`);
  print('');
  for (let round = 1; ; round++) {
    const fromMs = story.elapsedMs + MINUTE_MS;
    for (const action of peak(`peak-${round}`, fromMs, fromMs + 3 * MINUTE_MS, CROWD)) story.plan(action);
    await story.play(fromMs + 5 * MINUTE_MS);
  }
}

interface Both {
  readonly reprieve: StoryFigures;
  readonly native: StoryFigures;
}

function summary(seed: number, { reprieve, native }: Both): object {
  const { preemptions, saved, restored, coldStarted, abandoned } = reprieve;
  return {
    seed,
    preemptions,
    saved,
    restored,
    coldStarted,
    abandoned,
    lostNodeSeconds: { reprieve: reprieve.lostNodeSeconds, native: native.lostNodeSeconds },
    preemptorWaitSeconds: { reprieve: reprieve.waitSeconds, native: native.waitSeconds },
  };
}

function table({ reprieve, native }: Both): readonly string[] {
  const row = (label: string, ours: string | number, theirs: string | number): string =>
    `  ${label.padEnd(44)}${String(ours).padStart(10)}${String(theirs).padStart(10)}`;
  const heading = row('', 'Reprieve', 'native');
  return [
    '',
    styleText('bold', heading),
    row('preemptions', reprieve.preemptions, native.preemptions),
    row('pods saved', reprieve.saved, '-'),
    row('pods restored', reprieve.restored, '-'),
    row('cold starts of displaced pods', reprieve.coldStarted, '-'),
    row('tickets abandoned', reprieve.abandoned, '-'),
    row('work lost, node-seconds', reprieve.lostNodeSeconds.toFixed(1), native.lostNodeSeconds.toFixed(1)),
    row('preemptors waited, seconds, p50', reprieve.waitSeconds.p50.toFixed(1), native.waitSeconds.p50.toFixed(1)),
    row('preemptors waited, seconds, p95', reprieve.waitSeconds.p95.toFixed(1), native.waitSeconds.p95.toFixed(1)),
    '',
    '  Same scenario and seed. Work lost is progress thrown away, and room held',
    '  without progress: frozen, terminating, restoring, starting again.',
  ];
}
