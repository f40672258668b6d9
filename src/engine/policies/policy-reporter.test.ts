import { describe, expect, it } from 'vitest';
import { makeNode, makePod, makePolicy } from '../../../test/support/builders.ts';
import { TestWorld } from '../../../test/support/world.ts';
import { VirtualClock } from '../../sim/virtual-clock.ts';
import type { Command } from '../core/commands.ts';
import { PolicyReporter } from './policy-reporter.ts';

/** A reporter over a world of one policy and one pod; what it asks to be written is kept, and takes effect where `accepts`. */
function setUp({ accepts = true } = {}) {
  const clock = new VirtualClock();
  const world = new TestWorld().put('node', makeNode()).put('policy', makePolicy());
  const written: string[] = [];
  let acts = true;
  const reporter = new PolicyReporter({
    view: world.index,
    clock,
    mayAct: () => acts,
    executor: {
      run(commands: readonly Command[]) {
        for (const command of commands) {
          if (command.kind !== 'SetPolicyStatus') throw new Error(command.kind);
          const { policy, report } = command;
          written.push(`${policy.name} ${report.selectedPods}`);
          const status = { report, acceptedSinceMs: 0, conflictedSinceMs: 0, restorableSinceMs: 0 };
          if (accepts) world.put('policy', { ...policy, status });
        }
      },
    },
  });
  world.index.onChange(() => reporter.poke());
  const addPods = (...names: readonly string[]): void =>
    void world.put('pod', ...names.map((name) => makePod({ name, nodeName: 'n1' })));
  return { clock, world, reporter, written, addPods, setActs: (may: boolean) => void (acts = may) };
}

describe('PolicyReporter', () => {
  it('reports at once, then no more often than every ten seconds', async () => {
    const { clock, reporter, written, addPods } = setUp();
    reporter.poke();
    await clock.advance(0);
    expect(written).toEqual(['everything 0']);
    addPods('a');
    await clock.advance(5_000);
    addPods('b');
    await clock.advance(4_999);
    expect(written).toHaveLength(1);
    await clock.advance(1);
    expect(written).toEqual(['everything 0', 'everything 2']);
  });

  it('reports in time though somebody sets the clock back', async () => {
    const { clock, written, addPods } = setUp();
    addPods('a');
    await clock.advance(0);
    const now = clock.now.bind(clock);
    clock.now = () => now() - 3_600_000;
    addPods('b');
    await clock.advance(10_000);
    expect(written).toEqual(['everything 1', 'everything 2']);
  });

  it('writes nothing that the policy says already', async () => {
    const { clock, world, written, addPods } = setUp();
    addPods('a');
    await clock.advance(60_000);
    world.put('pod', makePod({ name: 'a', nodeName: 'n1', startMs: 5 }));
    await clock.advance(60_000);
    expect(written).toEqual(['everything 1']);
  });

  it('rests when nothing changes', async () => {
    const { clock, reporter } = setUp();
    reporter.poke();
    await clock.advance(60_000);
    let timers = 0;
    const original = clock.setTimer.bind(clock);
    clock.setTimer = (delayMs, run) => {
      timers++;
      return original(delayMs, run);
    };
    await clock.advance(600_000);
    expect(timers).toBe(0);
  });

  it('counts a large cluster in slices, and again when it changed meanwhile', async () => {
    const { clock, reporter, written, addPods, world } = setUp();
    addPods(...Array.from({ length: 5_000 }, (_, index) => `p${index}`));
    let slices = 0;
    const original = clock.setTimer.bind(clock);
    clock.setTimer = (delayMs, run) =>
      original(delayMs, () => {
        if (delayMs === 0 && ++slices === 2) world.put('pod', makePod({ name: 'late' }));
        run();
      });
    reporter.poke();
    await clock.advance(10_000);
    expect(slices).toBeGreaterThanOrEqual(2);
    expect(written.at(-1)).toBe('everything 5001');
  });

  it('asks again for what was not written, when a write came back', async () => {
    const { clock, reporter, written } = setUp({ accepts: false });
    reporter.poke();
    await clock.advance(0);
    reporter.write();
    expect(written).toEqual(['everything 0', 'everything 0']);
  });

  it('does not report one spec with the findings of another', async () => {
    const { clock, world, reporter, written } = setUp({ accepts: false });
    reporter.poke();
    await clock.advance(0);
    world.put('policy', makePolicy({ generation: 2 }));
    reporter.write();
    expect(written).toHaveLength(1);
    await clock.advance(10_000);
    expect(written).toHaveLength(2);
  });

  it('writes nothing where another replica leads, and begins when this one does', async () => {
    const { clock, reporter, written, addPods, setActs } = setUp();
    setActs(false);
    addPods('a');
    await clock.advance(60_000);
    expect(written).toEqual([]);
    setActs(true);
    reporter.poke();
    await clock.advance(10_000);
    expect(written).toEqual(['everything 1']);
  });

  it('writes nothing after it was stopped', async () => {
    const { clock, reporter, written } = setUp();
    reporter.poke();
    reporter.stop();
    await clock.advance(60_000);
    reporter.write();
    expect(written).toEqual([]);
  });
});
