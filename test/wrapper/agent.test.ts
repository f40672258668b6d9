import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Answer, RestoreRequest } from '../../src/agent/restore/request.ts';
import { RestoreRequests } from '../../src/agent/restore/requests.ts';
import { resultOf } from '../../src/agent/restore/results.ts';
import { systemClock } from '../../src/ports/clock.ts';
import { configJson, containerAnnotations, POD, SANDBOX, sandboxAnnotations, SHELLS, Stage, until } from './stage.ts';

const ID = 'c'.repeat(64);

interface Agent extends AsyncDisposable {
  readonly requests: RestoreRequest[];
  readonly aborted: string[];
  readonly abandoned: string[];
  readonly errors: unknown[];
}

/** The agent of a stage; a handler that returns null never answers. */
async function agentOf(stage: Stage, answer: (request: RestoreRequest) => Answer | null): Promise<Agent> {
  const [requests, aborted, abandoned, errors] = [[], [], [], []] as [RestoreRequest[], string[], string[], unknown[]];
  const agent = new RestoreRequests({
    runDir: stage.run,
    clock: systemClock,
    handler: (request, signal) => {
      requests.push(request);
      signal.addEventListener('abort', () => aborted.push(request.id));
      const answered = answer(request);
      if (answered) return Promise.resolve(answered);
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
    },
    onAbandoned: ({ id }) => void abandoned.push(id),
    onError: (error) => errors.push(error),
  });
  await agent.start();
  return { requests, aborted, abandoned, errors, [Symbol.asyncDispose]: () => agent.stop() };
}

describe.each(SHELLS)('the wrapper under %s and the agent', (...shell) => {
  it('bring a pod of three containers back', async () => {
    using stage = new Stage(shell);
    await using agent = await agentOf(stage, ({ kind, container }) => {
      if (kind === 'sandbox') return { kind: 'pass' };
      return {
        kind: 'restore',
        imagePath: `/s/${container}/images`,
        workPath: `/s/${container}/work`,
        held: container === 'app',
      };
    });
    const sandbox = stage.container(SANDBOX, configJson({ annotations: sandboxAnnotations() }));
    expect((await stage.play(sandbox.create)).code).toBe(0);
    const names = ['app', 'sidecar', 'w-0'];
    const containers = names.map((name, i) => {
      return stage.container(`${i}`.repeat(64), configJson({ annotations: containerAnnotations(name) }));
    });
    const ended = await Promise.all(containers.map(({ create }) => stage.play(create)));
    expect(ended.map(({ code }) => code)).toEqual([0, 0, 0]);
    for (const [i, name] of names.entries()) {
      expect(await resultOf(stage.run, POD, name)).toEqual({ outcome: 'restored', containerId: `${i}`.repeat(64) });
    }
    expect(agent.requests.map(({ kind }) => kind)).toEqual(['sandbox', 'container', 'container', 'container']);
    expect(agent.errors).toEqual([]);
    expect(stage.requests()).toEqual([]);
  });

  it('begin anew after a restore that failed', async () => {
    using stage = new Stage(shell);
    stage.fail('restore', 1);
    await using agent = await agentOf(stage, ({ attempt }) => {
      return attempt < 2 ? { kind: 'restore', imagePath: '/i', workPath: '/w', held: false } : { kind: 'pass' };
    });
    const { create } = stage.container(ID);
    expect((await stage.play(create)).code).toBe(0);
    expect(agent.requests.map(({ attempt }) => attempt)).toEqual([0, 1, 2]);
    expect(stage.calls().at(-1)).toEqual(create);
    expect(await resultOf(stage.run, POD, 'worker')).toEqual({ outcome: 'cold', containerId: ID });
    expect(agent.errors).toEqual([]);
  });

  it('agree on the words of a refusal', async () => {
    using stage = new Stage(shell);
    await using _ = await agentOf(stage, () => ({ kind: 'refuse', message: 'the image differs: "a" and "b"' }));
    const { create } = stage.container(ID);
    expect(await stage.play(create)).toMatchObject({
      code: 1,
      stderr: "reprieve: the image differs: 'a' and 'b'\n",
    });
  });

  it('agree that the wrapper was ended', async () => {
    using stage = new Stage(shell);
    await using agent = await agentOf(stage, () => null);
    const { child, ended } = stage.start(stage.container(ID).create);
    await until(() => agent.requests[0] ?? null);
    child.kill('SIGTERM');
    expect((await ended).code).toBe(143);
    await until(() => agent.aborted[0] ?? null);
    expect(agent.aborted).toEqual([ID]);
    expect(agent.abandoned).toEqual([]);
  });

  it('clean up after a wrapper that was killed', async () => {
    using stage = new Stage(shell);
    await using agent = await agentOf(stage, () => null);
    const { child, ended } = stage.start(stage.container(ID).create);
    await until(() => agent.requests[0] ?? null);
    child.kill('SIGKILL');
    await ended;
    await until(() => (stage.requests().length === 0 ? true : null));
    expect(agent.aborted).toEqual([ID]);
    expect(agent.abandoned).toEqual([ID]);
  });

  it('go on after the agent was restarted', async () => {
    using stage = new Stage(shell);
    const first = await agentOf(stage, () => null);
    const { ended } = stage.start(stage.container(ID).create);
    await until(() => first.requests[0] ?? null);
    await first[Symbol.asyncDispose]();
    await using second = await agentOf(stage, () => ({
      kind: 'restore',
      imagePath: '/i',
      workPath: '/w',
      held: false,
    }));
    expect((await ended).code).toBe(0);
    expect(second.requests.map(({ attempt }) => attempt)).toEqual([0]);
    expect(await resultOf(stage.run, POD, 'worker')).toMatchObject({ outcome: 'restored' });
  });

  it('restart the agent while a restore runs without asking twice', async () => {
    using stage = new Stage(shell);
    stage.hold('restore');
    const first = await agentOf(stage, () => ({ kind: 'restore', imagePath: '/i', workPath: '/w', held: false }));
    const { ended } = stage.start(stage.container(ID).create);
    await until(() => stage.calls()[0] ?? null);
    await first[Symbol.asyncDispose]();
    await using second = await agentOf(stage, () => ({ kind: 'pass' }));
    writeFileSync(join(stage.folder, 'fail-restore'), '1');
    expect(second.requests).toEqual([]);
    stage.letGo('restore');
    expect((await ended).code).toBe(0);
    expect(second.requests.map(({ attempt }) => attempt)).toEqual([1]);
    expect(existsSync(join(stage.run, 'restored', ID))).toBe(false);
    rmSync(join(stage.folder, 'fail-restore'));
  });
});
