/**
 * `npm run bench:report`: writes `results/README.md`, its plots, and what was measured beside each range, from the runs in
 * `results/figures.json`. `npm run bench -- --record` adds a run there.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { format } from 'prettier';
import { readHistory, spreadOf, type Run, type Spread } from './history.ts';
import { plot, type Line } from './plot.ts';
import { ratioOf, type Range } from './ranges.ts';
import { FULL_NODE_WAYS, NO_EXTENDER, WAYS } from './scheduler/ways.ts';

const RESULTS = join(import.meta.dirname, 'results');
const RANGES_FILE = join(import.meta.dirname, 'ranges.json');
const EXTENDERS = ['reprieve', 'null Go', 'null node:http'] as const;
const [TICKETS, NO_TICKETS] = ['5000 tickets', 'no tickets'];
const VERBS = ['preempt', 'preempt, nobody protected', 'filter', 'prioritize'] as const;

const history = readHistory();

function runsOf(scenario: string): readonly [Run, ...Run[]] {
  const [first, ...others] = history[scenario] ?? [];
  if (first === undefined) throw new Error(`no run of ${scenario} was recorded`);
  return [first, ...others];
}

/** A scenario is left out of the page until its first run is recorded. */
function isRecorded(scenario: string): boolean {
  return history[scenario] !== undefined;
}

/** What the runs of a scenario say of one figure. */
function spread(scenario: string, name: string): Spread {
  const values = runsOf(scenario).map(({ figures }) => figures.find((figure) => figure.name === name)?.value);
  if (values.includes(undefined)) throw new Error(`"${name}" of ${scenario} was not recorded`);
  return spreadOf(values as number[]);
}

/** The numbers in the names of a scenario's figures, as 100 in "filter, 100 nodes: reprieve, p50". */
function sizes(scenario: string, unit: 'nodes' | 'pods'): readonly number[] {
  const names = runsOf(scenario)[0].figures.map(({ name }) => name);
  const found = names.flatMap((name) => new RegExp(`, (\\d+) ${unit}\\b`).exec(name)?.[1] ?? []);
  return [...new Set(found)].map(Number).sort((a, b) => a - b);
}

function shown({ runs, mean, spread: half }: Spread, scale = 1): string {
  const digits = mean / scale >= 100 ? 0 : mean / scale >= 10 ? 1 : 2;
  const shownMean = (mean / scale).toFixed(digits);
  return runs === 1 ? shownMean : `${shownMean} ± ${(half / scale).toFixed(digits)}`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map((_, column) => (column === 0 ? '---' : '--:'))), ...rows.map(line)].join('\n');
}

function hotPathTable(): string {
  const rows: string[][] = [];
  for (const verb of VERBS) {
    for (const nodes of sizes('hot-path', 'nodes')) {
      const cells = EXTENDERS.flatMap((extender) =>
        ['p50', 'p99'].map((which) =>
          shown(spread('hot-path', `${verb}, ${nodes} nodes: ${extender}, ${which}`), 1000),
        ),
      );
      rows.push([`${verb}, ${nodes.toLocaleString('en')} nodes`, ...cells]);
    }
  }
  const head = EXTENDERS.flatMap((extender) => [`${extender} p50`, 'p99']);
  return table(['milliseconds', ...head], rows);
}

function hotPathLines(verb: string, which: string): readonly Line[] {
  return EXTENDERS.map((extender) => ({
    name: extender,
    points: sizes('hot-path', 'nodes').map((nodes) => [
      nodes,
      spread('hot-path', `${verb}, ${nodes} nodes: ${extender}, ${which}`).mean / 1000,
    ]),
  }));
}

const SYNC_ROWS: readonly (readonly [name: string, unit: string])[] = [
  ['synced', 's'],
  ['read and parsed only (reference)', 's'],
  ['loop delay while syncing, p99', 'ms'],
  ['loop delay while syncing, max', 'ms'],
  ['loop delay after, p99', 'ms'],
  ['loop delay after, max', 'ms'],
  ['highest resident memory', 'MiB'],
  ['resident memory after', 'MiB'],
];

function syncTable(): string {
  const pods = sizes('sync', 'pods');
  const rows = SYNC_ROWS.map(([name, unit]) => [
    `${name}, ${unit}`,
    ...pods.map((count) => shown(spread('sync', `${name}, ${count} pods`))),
  ]);
  return table(['', ...pods.map((count) => `${count.toLocaleString('en')} pods`)], rows);
}

function syncLines(...names: readonly string[]): readonly Line[] {
  return names.map((name) => ({
    name: name.replace(' (reference)', ''),
    points: sizes('sync', 'pods').map((pods) => [pods, spread('sync', `${name}, ${pods} pods`).mean]),
  }));
}

const QUEUE_ROWS: readonly (readonly [figure: (tickets: string) => string, what: string, scale: number])[] = [
  [(tickets) => `pass p50, ${tickets}`, 'pass of the reconciler, p50, ms', 1],
  [(tickets) => `pass p99, ${tickets}`, 'pass of the reconciler, p99, ms', 1],
  [(tickets) => `slice of a pass p99, ${tickets}`, 'longest slice of a pass, p99, ms', 1],
  [(tickets) => `passes a second take, ${tickets}`, 'all passes of a second, ms', 1],
  [(tickets) => `preempt, ${tickets}, p50`, '`preempt`, p50, ms', 1000],
  [(tickets) => `preempt, ${tickets}, p99`, '`preempt`, p99, ms', 1000],
  [(tickets) => `room to Ungate, ${tickets}, p50`, 'capacity appears until a gate is removed, p50, ms', 1],
  [(tickets) => `room to Ungate, ${tickets}, p99`, 'capacity appears until a gate is removed, p99, ms', 1],
];

function queueTable(): string {
  const measured = new Set(runsOf('queue')[0].figures.map(({ name }) => name));
  const columns = [TICKETS, NO_TICKETS];
  const rows = QUEUE_ROWS.map(([figure, what, scale]) => [
    what,
    ...columns.map((tickets) => (measured.has(figure(tickets)) ? shown(spread('queue', figure(tickets)), scale) : '')),
  ]);
  return table(['', ...columns], rows);
}

function decideTable(): string {
  const names = [...new Set(runsOf('decide')[0].figures.map(({ name }) => name.replace(/, [^,]+$/, '')))];
  const rows = names.map((name) => [
    name,
    ...['p50', 'p99'].map((which) => shown(spread('decide', `${name}, ${which}`))),
  ]);
  return table(['microseconds', 'p50', 'p99'], rows);
}

/** Pods a second of each way and its shares of others, and what the extender itself took of the processor for a pod. */
function schedulerTable(kind: 'plain' | 'preempting'): string {
  const measured = new Set(runsOf('scheduler')[0].figures.map(({ name }) => name));
  const cell = (figure: string): string => (measured.has(figure) ? shown(spread('scheduler', figure)) : '');
  const rows = [...WAYS, ...FULL_NODE_WAYS].flatMap(({ name, references }) => {
    const figure = `${kind}: ${name}`;
    if (!measured.has(figure)) return [];
    const like = references.find((reference) => reference !== NO_EXTENDER);
    return [
      [
        name,
        cell(figure),
        cell(`${figure} / ${NO_EXTENDER}`),
        cell(`${figure} / ${like}`),
        cell(`${figure}, CPU of the extender for a pod`),
      ],
    ];
  });
  return table([kind, 'pods a second', 'to no extender', 'to null Go alike', 'extender, ms of CPU a pod'], rows);
}

/** What was meant to be reached, beside what is. */
interface Goal {
  readonly what: string;
  readonly value: number;
  readonly atMost?: number;
  readonly atLeast?: number;
}

function goals(): readonly Goal[] {
  const ms = (figure: string): number => spread('hot-path', figure).mean / 1000;
  const hotPath = (verb: string, nodes: number, extender: string): number =>
    ms(`${verb}, ${nodes} nodes: ${extender}, p99`);
  const toGo = (verb: string, nodes: number): number =>
    hotPath(verb, nodes, 'reprieve') / hotPath(verb, nodes, 'null Go');
  const ratio = (figure: string): number => spread('scheduler', figure).mean;
  const at150 = (figure: string): number => spread('sync', `${figure}, 150000 pods`).mean;
  const grown = (figure: string): number => at150(figure) / spread('sync', `${figure}, 50000 pods`).mean;
  return [
    { what: '`preempt`, 100 nodes x 8 victims, p99, ms', value: hotPath('preempt', 100, 'reprieve'), atMost: 5 },
    ...sizes('hot-path', 'nodes').map((nodes) => ({
      what: `\`preempt\`, ${nodes.toLocaleString('en')} nodes, p99, to null Go`,
      value: toGo('preempt', nodes),
      atMost: 2,
    })),
    { what: '`filter`, 5,000 names, p99, ms', value: hotPath('filter', 5000, 'reprieve'), atMost: 5 },
    { what: '`filter`, 5,000 names, p99, to null Go', value: toGo('filter', 5000), atMost: 1.5 },
    ...queueGoals(),
    {
      what: 'plain pods a second, preempt only, to no extender',
      value: ratio(`plain: reprieve, preempt only / ${NO_EXTENDER}`),
      atLeast: 0.97,
    },
    {
      what: 'plain pods a second, preempt only, to null Go alike',
      value: ratio('plain: reprieve, preempt only / null Go, preempt only'),
      atLeast: 0.97,
    },
    {
      what: 'plain pods a second, three verbs, to null Go alike',
      value: ratio('plain: reprieve, three verbs / null Go, three verbs'),
      atLeast: 0.95,
    },
    {
      what: '150,000 pods: resident memory, MB',
      value: (at150('highest resident memory') * 2 ** 20) / 1e6,
      atMost: 350,
    },
    { what: '150,000 pods: synced, s', value: at150('synced'), atMost: 15 },
    {
      what: '150,000 pods: loop delay while syncing, p99, ms',
      value: at150('loop delay while syncing, p99'),
      atMost: 10,
    },
    { what: '150,000 pods: loop delay after, p99, ms', value: at150('loop delay after, p99'), atMost: 5 },
    { what: 'three times the pods: time to synced, times', value: grown('synced'), atMost: 3 },
    {
      what: 'three times the pods: the same of reading and parsing only, times',
      value: grown('read and parsed only (reference)'),
      atMost: 3,
    },
    { what: 'three times the pods: resident memory, times', value: grown('highest resident memory'), atMost: 3 },
  ];
}

function queueGoals(): readonly Goal[] {
  if (!isRecorded('queue')) return [];
  const queue = (figure: string): number => spread('queue', figure).mean;
  return [
    { what: '5,000 open tickets: pass of the reconciler, p99, ms', value: queue(`pass p99, ${TICKETS}`), atMost: 10 },
    {
      what: '5,000 open tickets: `preempt`, p99, to the same without tickets',
      value: queue(`preempt, ${TICKETS}, p99`) / queue(`preempt, ${NO_TICKETS}, p99`),
      atMost: 1.5,
    },
    {
      what: '5,000 open tickets: capacity appears until a gate is removed, p99, ms',
      value: queue(`room to Ungate, ${TICKETS}, p99`),
      atMost: 100,
    },
  ];
}

function goalsTable(): string {
  const rows = goals().map(({ what, value, atMost = Infinity, atLeast = 0 }) => [
    what,
    atMost === Infinity ? `at least ${atLeast}` : `at most ${atMost}`,
    value.toFixed(value >= 100 ? 0 : 2),
    value <= atMost && value >= atLeast ? 'yes' : 'no',
  ]);
  return table(['', 'goal', 'mean of the runs', 'reached'], rows);
}

function origin(scenario: string): string {
  const runs = runsOf(scenario);
  const { date, machine } = runs.at(-1) as Run;
  const what = runs.length === 1 ? 'One run' : `Mean of ${runs.length} runs ± half the distance of the extremes`;
  return `${what}; ${machine}; ${date}; \`npm run bench -- ${scenario}\`.`;
}

function queueSection(): string {
  if (!isRecorded('queue')) return '';
  return `## Open tickets

One process with 5,000 open tickets and one without, each with 5,000 nodes and 150,000 pods, of which 500 a second change. Of the
tickets 1,500 wait for a pod, 2,000 have a gated pod for which no node has capacity (a restore of 250 of these failed before), 1,000
are admitted or being restored, 500 are being saved. \`preempt\` is asked in turn about 100 nodes with 8 victims each. Then pods are
deleted on one node after another, so that one gated pod fits there; what counts is the time until Reprieve writes that its gate
is removed.

${queueTable()}

${origin('queue')}

`;
}

const plots: Readonly<Record<string, string>> = {
  'preempt.svg': plot({
    title: 'preempt, all victims protected, p99',
    xLabel: 'candidate nodes, 8 victims each',
    yLabel: 'milliseconds',
    lines: hotPathLines('preempt', 'p99'),
  }),
  'filter.svg': plot({
    title: 'filter, p50',
    xLabel: 'node names',
    yLabel: 'milliseconds',
    lines: hotPathLines('filter', 'p50'),
  }),
  'sync.svg': plot({
    title: 'Time until the index is complete',
    xLabel: 'pods (and 5,000 nodes)',
    yLabel: 'seconds',
    lines: syncLines('synced', 'read and parsed only (reference)'),
  }),
  'memory.svg': plot({
    title: 'Resident memory of the whole process',
    xLabel: 'pods (and 5,000 nodes)',
    yLabel: 'MiB',
    lines: syncLines('highest resident memory', 'resident memory after'),
  }),
};

const page = `<!-- Generated by \`npm run bench:report\` from figures.json. Do not edit. -->

# What the hot path costs

${goalsTable()}

## The verbs

One kept-alive connection to each of three extenders, asked in turn, in one run: Reprieve; an extender in Go that decodes with
kube-scheduler's own types and echoes; one on node:http that parses and echoes. The cluster has 5,000 nodes and 150,000 pods, of
which 500 a second change meanwhile. Each is a process of its own; all share the machine with the API server and the caller.

${hotPathTable()}

What is slow once in a hundred calls is not the extender: of \`filter\` at 5,000 names all three have a p99 of 7 to 9 ms also where
the cluster stands still (\`eventsPerSecond\` 0 in scenarios.json), since the caller, which makes and reads the bodies, shares the
two cores and collects its own garbage.

${origin('hot-path')}

![preempt](preempt.svg)
![filter](filter.svg)

${queueSection()}## What kube-scheduler makes of it

A real kube-scheduler 1.37 with kube-apiserver and etcd, 5,000 nodes with two pods each; no kubelets and no controllers. Plain: a
queue of pods for which there is room. Preempting: a queue of pods of high priority, each of which fits nowhere before one pod was
displaced; nobody is protected, so that an extender has nothing to add. All pods of a burst are there before kube-scheduler
goes on, and what counts is the time until the last one is bound. Everything, the API server first of all, shares two cores: what an
extender computes is not only waited for, it is taken from the others. Each way has kube-scheduler and extender to itself, started
anew and warmed up; the ways take turns. What is shown are medians of the rounds. The machine is up to twice as fast in one minute
as in another, so a ratio is that of two ways in the same round, and not of the medians beside it.

What "null Go, preempt only" loses, kube-scheduler loses by itself: that extender is never asked about plain pods. For each entry
under \`extenders\`, also one without those verbs, kube-scheduler makes a map of the 500 nodes that it found
(\`HTTPExtender.Filter\`) and a score of 0 for each (\`Prioritize\`), and adds them up, pod after pod: a millisecond of its 4 to 5,
half of it in collecting what that leaves, as its own profile shows (\`/debug/pprof/profile\`). (It also does without the batching of like pods then, 1.35 and later; with
OpportunisticBatching off the difference is the same.) Reprieve's prioritize answers with those nodes alone that it prefers, which
spares kube-scheduler that part of the other entry. What Reprieve adds to it is following the pods: one change for each that is
bound. Whole nodes (\`nodeCacheCapable: false\`) are there to show why not.

${schedulerTable('plain')}

${schedulerTable('preempting')}

${origin('scheduler')}

## Following the cluster

From the start of the reader until the index is complete, then ten seconds with 500 changes of pods a second. The reference reads and
parses the same watch and does nothing else; it grows with the pods as Reprieve does.

${syncTable()}

${origin('sync')}

![time](sync.svg)
![memory](memory.svg)

## The decision alone

In one process, without HTTP: every pod is in the caches of the processor, which in a large cluster they are not.

${decideTable()}

${origin('decide')}
`;

const ranges = (JSON.parse(readFileSync(RANGES_FILE, 'utf8')) as readonly Range[]).map((range): Range => {
  const runs = Object.values(history).find((all) => all[0]?.figures.some(({ name }) => name === range.figure)) ?? [];
  const ratios = runs.map(
    ({ figures }) => ratioOf(range, new Map(figures.map(({ name, value }) => [name, value]))) ?? 0,
  );
  if (ratios.length === 0) return range;
  const { mean, spread: half } = spreadOf(ratios);
  const { date, machine } = runs.at(-1) as Run;
  const measured = { mean: Number(mean.toFixed(2)), spread: Number(half.toFixed(2)), runs: runs.length, machine, date };
  return { ...range, measured };
});

for (const [name, svg] of Object.entries(plots)) writeFileSync(join(RESULTS, name), svg);
const style = { printWidth: 120, proseWrap: 'preserve' } as const;
writeFileSync(join(RESULTS, 'README.md'), await format(page, { ...style, parser: 'markdown' }));
writeFileSync(RANGES_FILE, await format(JSON.stringify(ranges, null, 2), { ...style, parser: 'json' }));
