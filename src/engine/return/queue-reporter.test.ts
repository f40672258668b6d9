import { describe, expect, it } from 'vitest';
import { makeNode, makePod, makeTicket } from '../../../test/support/builders.ts';
import { TestWorld } from '../../../test/support/world.ts';
import { RESTORE_GATE } from '../../domain/labels.ts';
import type { Pod } from '../../domain/pod.ts';
import { VirtualClock } from '../../sim/virtual-clock.ts';
import type { Command } from '../core/commands.ts';
import { DEFAULT_ENGINE_SETTINGS } from '../core/steps.ts';
import { QueueReporter } from './queue-reporter.ts';

const SECOND = 1000;
const pods = (count: number): string[] => Array.from({ length: count }, (_, index) => `p${index + 1}`);

/** A queue of gated pods, first come first served, over one full node; what is written takes effect in the next turn. */
function setUp(names: readonly string[]) {
  const clock = new VirtualClock();
  const world = new TestWorld().put('node', makeNode(), makeNode({ name: 'n2', ready: false }));
  world.put('pod', makePod({ name: 'resident', nodeName: 'n1', requests: makeNode().allocatable }));
  const written: string[] = [];
  const tickets: string[] = [];
  let acts = true;
  let largest = 0;
  const reporter: QueueReporter = new QueueReporter({
    view: world.index,
    clock,
    settings: DEFAULT_ENGINE_SETTINGS,
    mayAct: () => acts,
    executor: {
      inFlightCount: 0,
      run(commands: readonly Command[]) {
        largest = Math.max(largest, commands.length);
        for (const command of commands) {
          if (command.kind === 'TellTicket') {
            const { ticket, waitsFor, blocked } = command;
            tickets.push(`${ticket.name} ${JSON.stringify(blocked)}`);
            world.put('ticket', { ...ticket, waitsFor });
          }
          if (command.kind !== 'TellQueued') continue;
          const { pod, reason, message } = command;
          written.push(`${pod.name} ${reason}: ${message}`);
          world.put('pod', { ...pod, queuedAs: reason === 'Queued' ? message : null });
        }
        if (commands.length > 0) clock.setTimer(1, () => reporter.write());
      },
    },
  });
  world.index.onChange(() => reporter.poke());
  const gated = (name: string): Pod => makePod({ name, gates: [RESTORE_GATE], phase: 'Pending' });
  names.forEach((name, index) => {
    const pod = gated(name);
    const claim = { name, uid: pod.uid };
    world.put('pod', pod);
    world.put(
      'ticket',
      makeTicket({
        name: `t-${name}`,
        phase: 'Waiting',
        claim,
        creationMs: index,
        pod: { ...makeTicket().pod, uid: `was-${name}` as Pod['uid'] },
      }),
    );
  });
  const leave = (name: string): void => void world.remove('ticket', makeTicket({ name: `t-${name}` }));
  return {
    clock,
    world,
    reporter,
    written,
    tickets,
    leave,
    gated,
    largest: () => largest,
    setActs: (may: boolean) => void (acts = may),
  };
}

describe('QueueReporter', () => {
  it('tells each pod its place, its ticket and what it waits for', async () => {
    const { clock, written, tickets } = setUp(['p1', 'p2']);
    await clock.advance(SECOND);
    expect(written).toEqual([
      'p1 Queued: position 1 in the restore queue of ticket t-p1; waits for room on one of 2 nodes: 1 with too little cpu, 1 not ready',
      'p2 Queued: position 2 in the restore queue of ticket t-p2; waits for room on one of 2 nodes: 1 with too little cpu, 1 not ready',
    ]);
    const blocked = '[{"reason":"InsufficientCpu","nodes":1},{"reason":"NotReady","nodes":1}]';
    expect(tickets).toEqual([`t-p1 ${blocked}`, `t-p2 ${blocked}`]);
  });

  it('looks again after two minutes, and writes where the pod waits for something else', async () => {
    const { clock, world, written, tickets } = setUp(['p1']);
    await clock.advance(SECOND);
    written.length = tickets.length = 0;
    await clock.advance(300 * SECOND);
    expect([written, tickets]).toEqual([[], []]);
    world.put('node', makeNode({ unschedulable: true }));
    await clock.advance(130 * SECOND);
    expect(written).toEqual([expect.stringMatching(/position 1 .*: 1 cordoned, 1 not ready$/)]);
    expect(tickets).toEqual([expect.stringMatching(/Cordoned/)]);
  });

  it('writes again where the place is another one, and to one pod at most every 30 s', async () => {
    const { clock, written, leave } = setUp(pods(4));
    await clock.advance(SECOND);
    written.length = 0;
    leave('p1');
    await clock.advance(20 * SECOND);
    leave('p2');
    expect(written).toEqual([]);
    await clock.advance(20 * SECOND);
    expect(written.map((line) => line.split(' in ')[0])).toEqual(['p3 Queued: position 1', 'p4 Queued: position 2']);
    written.length = 0;
    await clock.advance(300 * SECOND);
    expect(written).toEqual([]);
  });

  it('tells ranges beyond the tenth place, nothing beyond the hundredth, and few at once', async () => {
    const { clock, written, leave, largest } = setUp(pods(120));
    await clock.advance(5 * SECOND);
    const places = new Map<string, number>();
    for (const line of written) {
      const place = /position (.*) in the/.exec(line)?.[1] ?? '';
      places.set(place, (places.get(place) ?? 0) + 1);
    }
    expect(written).toHaveLength(100);
    expect([...places].slice(9)).toEqual([
      ['10', 1],
      ['11 to 20', 10],
      ['21 to 50', 30],
      ['51 to 100', 50],
    ]);
    expect(largest()).toBe(2);
    written.length = 0;
    await clock.advance(30 * SECOND);
    leave('p1');
    await clock.advance(60 * SECOND);
    // Ten places, one pod at the end of each range, and one that came into the first hundred.
    expect(written).toHaveLength(10 + 2 + 1);
  });

  it('tells a pod whose gate is removed that kube-scheduler places it', async () => {
    const { clock, world, written } = setUp(['p1']);
    await clock.advance(SECOND);
    const told = [...world.index.pendingPods()].find(({ name }) => name === 'p1') as Pod;
    world.put('pod', { ...told, gates: [] });
    await clock.advance(60 * SECOND);
    expect(written.slice(1)).toEqual(['p1 Admitted: ticket t-p1 is admitted; kube-scheduler places the pod']);
  });

  it('writes nothing while another replica leads', async () => {
    const { clock, world, written, gated, setActs } = setUp(['p1']);
    setActs(false);
    await clock.advance(60 * SECOND);
    expect(written).toEqual([]);
    setActs(true);
    world.put('pod', gated('other'));
    await clock.advance(20 * SECOND);
    expect(written).toHaveLength(1);
  });
});
