import { styleText } from 'node:util';
import { formatBytes } from '../domain/quantity.ts';
import type { Pod } from '../domain/pod.ts';
import { isPreemption } from '../domain/displacement.ts';
import type { PodUid } from '../domain/ids.ts';
import { SERVING_PRIORITY } from '../sim/scenario.ts';
import type { Story } from '../sim/story.ts';
import type { WorkEvent } from '../sim/nodes/work-ledger.ts';

const WIDTH = 80;
const STATUS_EVERY_MS = 60_000;

/**
 * Tells a story line by line while it is played, 80 columns wide: what serving pods ask for, and what becomes of those who
 * stand in their way.
 */
export function tellTimeline(story: Story, print: (line: string) => void): void {
  const { ledger, reprieve, clock } = story.cluster;
  if (reprieve === null) return;
  const say = (text: string, style?: Parameters<typeof styleText>[0]): void => {
    const line = `${clockTime(story.elapsedMs / 1000)}  ${text}`.slice(0, WIDTH);
    print(style ? styleText(style, line) : line); // plain where the output is no terminal, or NO_COLOR says so
  };
  const frozenMs = new Map<string, number>(); // pod -> when it was frozen

  ledger.subscribe((event) => {
    const line = lineOf(event, frozenMs);
    if (line !== null) say(`  ${line}`, STYLES[event.kind]);
  });
  reprieve.engine.events.on('displacement:opened', ({ displacement }) => {
    if (!isPreemption(displacement)) return;
    const saved = displacement.pods.filter(({ plan }) => plan !== 'Evict').length;
    const rest = displacement.pods.length - saved;
    const also = rest > 0 ? ` and ${rest} evicted` : '';
    say(`${displacement.cause.preemptor.name} needs room: ${saved} saved${also} on ${displacement.cause.node}`, 'cyan');
  });

  const bound = new Set<PodUid>();
  reprieve.index.onChange((event) => {
    if (event.type !== 'upsert' || event.kind !== 'pod') return;
    const pod = event.value;
    if (pod.priority < SERVING_PRIORITY || pod.nodeName === null || bound.has(pod.uid)) return;
    bound.add(pod.uid);
    say(
      `${pod.name} is bound to ${pod.nodeName} after ${((clock.now() - pod.creationMs) / 1000).toFixed(1)} s`,
      'cyan',
    );
  });

  const status = (): void => {
    say(statusOf(reprieve.index.nodes(), [...reprieve.index.gatedPods()].length), 'dim');
    clock.setTimer(STATUS_EVERY_MS, status);
  };
  clock.setTimer(STATUS_EVERY_MS, status);
}

const STYLES: Partial<Record<WorkEvent['kind'], Parameters<typeof styleText>[0]>> = {
  restored: 'green',
  coldStarted: 'red',
};

function lineOf(event: WorkEvent, frozenMs: Map<string, number>): string | null {
  const { kind, pod, node, progressSeconds, bytes, atMs } = event;
  const at = clockTime(progressSeconds);
  switch (kind) {
    case 'frozen':
      frozenMs.set(pod, atMs);
      return null;
    case 'saved': {
      const seconds = (atMs - (frozenMs.get(pod) ?? atMs)) / 1000;
      return `saved     ${pod} at ${at} of its work (${formatBytes(bytes ?? 0)}, ${seconds.toFixed(1)} s)`;
    }
    case 'thawed':
      return `goes on   ${pod} on ${node} at ${at}: nothing lost`;
    case 'restored':
      return `back      ${pod} on ${node}, continues at ${at}`;
    case 'coldStarted':
      return `cold      ${pod} on ${node} starts from nothing`;
    case 'completed':
      return `done      ${pod} after ${at} of work`;
    case 'started':
    case 'killed':
      return null;
    default:
      return kind satisfies never;
  }
}

/** `nodes [#####++ ] ...`: `#` serving, `=` batch, one mark for each CPU. */
function statusOf(
  nodes: Iterable<{
    readonly node: { readonly allocatable: { readonly cpuMilli: number } };
    readonly pods: readonly Pod[];
  }>,
  queued: number,
): string {
  const bars: string[] = [];
  for (const { node, pods } of nodes) {
    const cpus = (isServing: boolean): number =>
      Math.round(
        pods
          .filter(({ priority }) => priority >= SERVING_PRIORITY === isServing)
          .reduce((sum, { requests }) => sum + requests.cpuMilli, 0) / 1000,
      );
    const bar = '#'.repeat(cpus(true)) + '='.repeat(cpus(false));
    bars.push(bar.padEnd(node.allocatable.cpuMilli / 1000, '.'));
  }
  return `${bars.join(' ')} ${queued} queued`;
}

/** Minutes and seconds. */
function clockTime(seconds: number): string {
  const whole = Math.floor(seconds);
  return `${String(Math.floor(whole / 60)).padStart(2, '0')}:${String(whole % 60).padStart(2, '0')}`;
}
