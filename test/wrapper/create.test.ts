import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { configJson, containerAnnotations, POD, SANDBOX, sandboxAnnotations, SHELLS, Stage } from './stage.ts';

const ID = 'c'.repeat(64);
const sandboxConfig = configJson({ annotations: sandboxAnnotations() });

/** What `create` becomes. */
function restored(create: readonly string[], image: string, work: string): string[] {
  return create.flatMap((word) => {
    if (word !== 'create') return [word];
    return ['restore', '--detach', '--no-subreaper', '--image-path', image, '--work-path', work];
  });
}

describe.each(SHELLS)('create of a pod with a ticket, under %s', (...shell) => {
  it('asks for a container, and creates it when told to pass', async () => {
    using stage = new Stage(shell);
    const { create, bundle } = stage.container(ID);
    const { ended } = stage.start(create);
    const { process: waiting, ...request } = await stage.request(ID);
    expect(request).toEqual({
      kind: 'container',
      pod: POD,
      sandbox: SANDBOX,
      container: 'worker',
      id: ID,
      bundle,
      attempt: '0',
    });
    expect(waiting).toMatch(/^\d+:\d+$/);
    expect(stage.calls()).toEqual([]);
    stage.answer(ID, 'pass\n');
    expect(await ended).toMatchObject({ code: 0, stderr: '' });
    expect(stage.calls()).toEqual([create]);
    expect(stage.umasks()).toEqual([process.umask()]);
    expect(stage.result('worker')).toBe(`cold ${ID}\n`);
    expect(stage.requests()).toEqual([]);
  });

  it('asks for a sandbox, and leaves no result for it', async () => {
    using stage = new Stage(shell);
    const { create, bundle } = stage.container(SANDBOX, sandboxConfig);
    const { ended } = stage.start(create);
    const { process: _, ...request } = await stage.request(SANDBOX);
    expect(request).toEqual({
      kind: 'sandbox',
      pod: POD,
      sandbox: SANDBOX,
      container: '',
      id: SANDBOX,
      bundle,
      attempt: '0',
    });
    stage.answer(SANDBOX, 'pass\n');
    expect((await ended).code).toBe(0);
    expect(stage.calls()).toEqual([create]);
    expect(readdirSync(join(stage.run, 'pods', POD))).toEqual(['first']);
  });

  it('understands the annotations of CRI-O, on lines of their own', async () => {
    using stage = new Stage(shell);
    const annotations = {
      'io.kubernetes.container.name': 'worker',
      'io.kubernetes.cri-o.Annotations': JSON.stringify(containerAnnotations('liar')),
      'io.kubernetes.cri-o.ContainerType': 'container',
      'io.kubernetes.cri-o.SandboxID': SANDBOX,
      'io.kubernetes.pod.uid': POD,
      'reprieve.dev/ticket': 't',
    };
    const { create } = stage.container(ID, JSON.stringify({ process: { args: ['x'] }, annotations }, null, '\t'));
    const { ended } = stage.start(create);
    expect(await stage.request(ID)).toMatchObject({ pod: POD, container: 'worker', sandbox: SANDBOX });
    stage.answer(ID, 'pass\n');
    await ended;
  });

  it('is not deceived by what the pod says of itself', async () => {
    using stage = new Stage(shell);
    const lie = JSON.stringify(containerAnnotations('liar', '11111111-1111-1111-1111-111111111111'));
    const annotations = { ...containerAnnotations(), 'reprieve.dev/note': lie };
    const { create } = stage.container(ID, configJson({ annotations, env: [lie, `,${lie}`, `A=\n${lie}\n`] }));
    const { ended } = stage.start(create);
    expect(await stage.request(ID)).toMatchObject({ pod: POD, container: 'worker' });
    stage.answer(ID, 'pass\n');
    await ended;
  });

  it('takes the bundle from the working directory, and the id from anywhere', async () => {
    using stage = new Stage(shell);
    writeFileSync(join(stage.folder, 'config.json'), configJson());
    const args = ['create', ID, '--pid-file=p', '--no-pivot'];
    const { ended } = stage.start(args);
    expect(await stage.request(ID)).toMatchObject({ bundle: stage.folder });
    stage.answer(ID, 'pass\n');
    await ended;
    expect(stage.calls()).toEqual([args]);
  });

  it('leaves what it restores stopped when told so, by the options that criu finds at home', async () => {
    using stage = new Stage(shell);
    for (const [at, answer] of ['restore-held /i /w\n', 'restore /i /w\n'].entries()) {
      const { id, create } = stage.container(
        `${at}`.repeat(64),
        configJson({ annotations: containerAnnotations(`c${at}`) }),
      );
      const { ended } = stage.start(create);
      await stage.request(id);
      stage.answer(id, answer);
      expect((await ended).code).toBe(0);
      expect(stage.calls().at(-1)).toEqual(restored(create, '/i', '/w'));
    }
    const held = join(stage.run, 'held');
    expect(stage.homes()).toEqual([held, process.env['HOME'] ?? '']);
    expect(readFileSync(join(held, '.criu/default.conf'), 'utf8')).toBe('leave-stopped\n');
  });

  it('restores, then starts nothing, then deletes', async () => {
    using stage = new Stage(shell);
    const { create } = stage.container(ID);
    const { ended } = stage.start(create);
    await stage.request(ID);
    stage.answer(ID, 'restore /s/a/images /s/a/work\n');
    expect((await ended).code).toBe(0);
    expect(stage.calls()).toEqual([restored(create, '/s/a/images', '/s/a/work')]);
    expect(stage.umasks()).toEqual([process.umask()]);
    expect(stage.result('worker')).toBe(`restored ${ID}\n`);
    expect(stage.requests()).toEqual([]);
    expect(await stage.play(['--root', '/r', 'start', ID])).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(stage.calls()).toHaveLength(1);
    await stage.play(['--root', '/r', 'delete', '--force', ID]);
    await stage.play(['--root', '/r', 'start', ID]);
    expect(stage.calls().slice(1)).toEqual([
      ['--root', '/r', 'delete', '--force', ID],
      ['--root', '/r', 'start', ID],
    ]);
  });

  it('drops the flags that restore does not know, and nothing that only looks like them', async () => {
    using stage = new Stage(shell);
    const { bundle } = stage.container(ID);
    const global = ['--log', 'create', '--root', '--no-new-keyring'];
    const kept = ['--bundle', bundle, '--pid-file', '--no-new-keyring', '--console-socket', 'a  b\n*', '--no-pivot'];
    const args = [...global, 'create', '--preserve-fds', '1', '--no-new-keyring', '--preserve-fds=2', ...kept];
    const { ended } = stage.start([...args, '--pidfd-socket', 'create', '--pidfd-socket=x', ID]);
    await stage.request(ID);
    stage.answer(ID, 'restore /i /w\n');
    await ended;
    const flags = ['--detach', '--no-subreaper', '--image-path', '/i', '--work-path', '/w'];
    expect(stage.calls()).toEqual([[...global, 'restore', ...flags, ...kept, ID]]);
  });

  it('does not ask again for a container that has begun once', async () => {
    using stage = new Stage(shell);
    const first = stage.container(ID);
    const { ended } = stage.start(first.create);
    await stage.request(ID);
    stage.answer(ID, 'restore /i /w\n');
    await ended;
    const again = stage.container('d'.repeat(64));
    await stage.play(again.create);
    expect(stage.calls()[1]).toEqual(again.create);
    expect(stage.result('worker')).toBe(`restored ${ID}\n`);
  });

  it('cleans up after a failed restore, tells the agent, and begins anew when told to', async () => {
    using stage = new Stage(shell);
    stage.fail('restore', 3);
    const { create, log } = stage.container(ID);
    const { ended } = stage.start(create);
    await stage.request(ID);
    stage.answer(ID, 'restore /i /w\n');
    expect(await stage.request(ID, 1)).toMatchObject({ id: ID, attempt: '1' });
    const folder = join(stage.run, 'requests', `${ID}.d`);
    expect(readFileSync(join(folder, 'result'), 'utf8')).toBe(`rc=3\nlog=${log}\n`);
    expect(existsSync(join(stage.run, 'restored', ID))).toBe(false);
    expect(stage.result('worker')).toBeNull();
    stage.answer(ID, 'pass\n');
    expect((await ended).code).toBe(0);
    const global = create.slice(0, create.indexOf('create'));
    expect(stage.calls()).toEqual([restored(create, '/i', '/w'), [...global, 'delete', '--force', ID], create]);
    expect(stage.result('worker')).toBe(`cold ${ID}\n`);
    await stage.play(['start', ID]);
    expect(stage.calls()).toHaveLength(4);
  });

  it('lifts the lock of the network that a failed restore left, and touches no other network', async () => {
    using stage = new Stage(shell);
    stage.fail('restore', 3);
    const env = ['X="type":"network","path":"/proc/1/ns/net"'];
    const { create } = stage.container(ID, configJson({ env }));
    const { ended } = stage.start(create);
    await stage.request(ID);
    stage.answer(ID, 'restore /i /w\n');
    await stage.request(ID, 1);
    const rules = ['-D INPUT -j CRIU', '-D OUTPUT -j CRIU', '-F CRIU', '-X CRIU'];
    expect(stage.networkCalls()).toEqual([
      ...['iptables', 'ip6tables'].flatMap((tables) => rules.map((rule) => `${tables} -w 5 ${rule}`)),
      'nft list tables',
      'nft delete table inet CRIU-7',
    ]);
    stage.answer(ID, 'pass\n');
    await ended;
  });

  it('restores at the second attempt', async () => {
    using stage = new Stage(shell);
    stage.fail('restore', 1);
    const { create } = stage.container(ID);
    const { ended } = stage.start(create);
    await stage.request(ID);
    stage.answer(ID, 'restore /i /w\n');
    await stage.request(ID, 1);
    rmSync(join(stage.folder, 'fail-restore'));
    stage.answer(ID, 'restore /i2 /w2\n');
    expect((await ended).code).toBe(0);
    expect(stage.calls()[2]).toEqual(restored(create, '/i2', '/w2'));
    expect(stage.result('worker')).toBe(`restored ${ID}\n`);
  });

  it('refuses with the message of the agent, on standard error and where containerd looks', async () => {
    using stage = new Stage(shell);
    const { create, log } = stage.container(SANDBOX, sandboxConfig);
    writeFileSync(log, '{"level":"warning","msg":"before"}\n');
    const { ended } = stage.start(create);
    await stage.request(SANDBOX);
    stage.answer(SANDBOX, 'refuse no "room" \\ left: 5 % of $(df) – `x` * \t!\n');
    const message = 'no room  left: 5 % of $(df)  `x` * !';
    expect(await ended).toEqual({ code: 1, stdout: '', stderr: `reprieve: ${message}\n` });
    const lines = readFileSync(log, 'utf8').trimEnd().split('\n');
    expect(JSON.parse(lines[1] as string)).toMatchObject({ level: 'error', msg: message });
    expect(lines).toHaveLength(2);
    expect(stage.calls()).toEqual([]);
    expect(stage.requests()).toEqual([]);
  });

  it('refuses in words where the log is no JSON, and without a log', async () => {
    using stage = new Stage(shell);
    const { bundle, log } = stage.container(ID);
    for (const global of [['--log', log], []]) {
      const { ended } = stage.start([...global, 'create', '--bundle', bundle, ID]);
      await stage.request(ID);
      stage.answer(ID, 'refuse not here\n');
      expect(await ended).toEqual({ code: 1, stdout: '', stderr: 'reprieve: not here\n' });
    }
    expect(readFileSync(log, 'utf8')).toMatch(/^time="[^"]+" level=error msg="not here"\n$/);
  });

  it('without an answer refuses a sandbox, for the first ten minutes of its pod', async () => {
    using stage = new Stage(shell, { answerWithin: 0 });
    const { create, log } = stage.container(SANDBOX, sandboxConfig);
    expect(await stage.play(create)).toMatchObject({ code: 1 });
    expect(readFileSync(log, 'utf8')).toContain('the agent of this node does not answer');
    const first = join(stage.run, 'pods', POD, 'first');
    const before = statSync(first).mtimeMs;
    expect(await stage.play(create)).toMatchObject({ code: 1 });
    expect(statSync(first).mtimeMs).toBe(before);
    utimesSync(first, Date.now() / 1000, Date.now() / 1000 - 599);
    expect(await stage.play(create)).toMatchObject({ code: 1 });
    utimesSync(first, Date.now() / 1000, Date.now() / 1000 - 661);
    expect(await stage.play(create)).toMatchObject({ code: 0 });
    expect(stage.calls()).toEqual([create]);
    expect(stage.requests()).toEqual([]);
  });

  it('without an answer creates a container, and says so', async () => {
    using stage = new Stage(shell, { answerWithin: 0 });
    const { create } = stage.container(ID);
    expect((await stage.play(create)).code).toBe(0);
    expect(stage.calls()).toEqual([create]);
    expect(stage.result('worker')).toBe(`passed ${ID}\n`);
    expect(stage.requests()).toEqual([]);
  });

  it('creates nothing while the agent may still change the files of the container', async () => {
    using stage = new Stage(shell, { answerWithin: 2 });
    const { create, log } = stage.container(ID);
    const { ended } = stage.start(create);
    await stage.request(ID);
    writeFileSync(join(stage.run, 'requests', `${ID}.d`, 'owner'), '');
    expect((await ended).code).toBe(1);
    expect(readFileSync(log, 'utf8')).toContain('has begun to restore the container');
    expect(stage.calls()).toEqual([]);
    expect(stage.result('worker')).toBeNull();
    expect(stage.requests()).toEqual([]);
  });

  it('without an answer starts nothing of a pod that must not start cold', async () => {
    using stage = new Stage(shell, { answerWithin: 0 });
    const hold = { 'reprieve.dev/on-failure': 'Hold' };
    const container = stage.container(ID, configJson({ annotations: { ...containerAnnotations(), ...hold } }));
    expect(await stage.play(container.create)).toMatchObject({ code: 1 });
    expect(readFileSync(container.log, 'utf8')).toContain('the pod must not start cold');
    const sandbox = stage.container(SANDBOX, configJson({ annotations: { ...sandboxAnnotations(), ...hold } }));
    expect(await stage.play(sandbox.create)).toMatchObject({ code: 1 });
    const first = join(stage.run, 'pods', POD, 'first');
    utimesSync(first, Date.now() / 1000, Date.now() / 1000 - 6_000);
    expect(await stage.play(sandbox.create)).toMatchObject({ code: 1 });
    rmSync(stage.run, { recursive: true });
    writeFileSync(stage.run, 'in the way'); // nobody can be asked
    expect(await stage.play(container.create)).toMatchObject({ code: 1 });
    expect(stage.calls()).toEqual([]);
    expect(existsSync(first)).toBe(false);
  });

  it.each([
    'restore relative /w',
    'restore /only-one',
    'restore',
    'restore / ',
    'pass please',
    'refuse',
    'Pass',
    '$(touch pwned)',
  ])('takes "%s" for no answer', async (text) => {
    using stage = new Stage(shell);
    const { create } = stage.container(ID);
    const { ended } = stage.start(create);
    await stage.request(ID);
    stage.answer(ID, `${text}\n`);
    await ended;
    expect(stage.calls()).toEqual([create]);
    expect(stage.result('worker')).toBe(`passed ${ID}\n`);
  });

  it('never restores a sandbox', async () => {
    using stage = new Stage(shell);
    const { create } = stage.container(SANDBOX, sandboxConfig);
    const { ended } = stage.start(create);
    await stage.request(SANDBOX);
    stage.answer(SANDBOX, 'restore /i /w\n');
    expect((await ended).code).toBe(1);
    expect(stage.calls()).toEqual([]);
  });

  it('keeps what it writes to root', async () => {
    using stage = new Stage(shell);
    rmSync(stage.run, { recursive: true });
    const { create } = stage.container(ID);
    const { ended } = stage.start(create);
    await stage.request(ID);
    const modes = ['.', 'requests', 'restored', 'pods', `pods/${POD}`, `requests/${ID}.d`, `requests/${ID}.d/request`];
    expect(modes.map((path) => (statSync(join(stage.run, path)).mode & 0o777).toString(8))).toEqual([
      ...Array.from({ length: 6 }, () => '700'),
      '600',
    ]);
    stage.answer(ID, 'pass\n');
    await ended;
  });

  it('takes the place of a request that one with its id left behind', async () => {
    using stage = new Stage(shell);
    const left = join(stage.run, 'requests', `${ID}.d`);
    mkdirSync(left, { recursive: true });
    writeFileSync(join(left, 'request'), 'kind=container\nattempt=4\n');
    writeFileSync(join(left, 'answer'), 'restore /old /old\n');
    const { create } = stage.container(ID);
    const { ended } = stage.start(create);
    await stage.request(ID);
    stage.answer(ID, 'pass\n');
    await ended;
    expect(stage.calls()).toEqual([create]);
  });

  it.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('leaves nothing when %s ends it while it waits', async (signal) => {
    using stage = new Stage(shell);
    const { create } = stage.container(ID);
    const { child, ended } = stage.start(create);
    await stage.request(ID);
    child.kill(signal);
    expect((await ended).code).toBe({ SIGTERM: 143, SIGINT: 130, SIGHUP: 129 }[signal]);
    expect(stage.requests()).toEqual([]);
    expect(stage.result('worker')).toBeNull();
    expect(stage.calls()).toEqual([]);
  });

  it('takes a restore back that was under way when SIGTERM came', async () => {
    using stage = new Stage(shell);
    stage.hold('restore');
    const { create } = stage.container(ID);
    const { child, ended } = stage.start(create);
    await stage.request(ID);
    stage.answer(ID, 'restore /i /w\n');
    while (stage.calls().length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    child.kill('SIGTERM');
    stage.letGo('restore');
    expect((await ended).code).toBe(143);
    expect(stage.calls().map((call) => call[call.indexOf('delete')])).toEqual([undefined, 'delete']);
    expect(existsSync(join(stage.run, 'restored', ID))).toBe(false);
    expect(stage.requests()).toEqual([]);
    expect(stage.result('worker')).toBeNull();
  });

  it('serves several containers at the same time', async () => {
    using stage = new Stage(shell);
    const names = ['a', 'b', 'c', 'd'];
    const containers = names.map((name) =>
      stage.container(name.repeat(64), configJson({ annotations: containerAnnotations(name) })),
    );
    const running = containers.map(({ create }) => stage.start(create));
    await Promise.all(containers.map(({ id }) => stage.request(id)));
    for (const { id } of containers.toReversed()) stage.answer(id, `restore /${id[0]}/i /${id[0]}/w\n`);
    for (const { ended } of running) expect((await ended).code).toBe(0);
    expect(new Set(stage.calls().map((call) => call.join(' ')))).toEqual(
      new Set(containers.map(({ id, create }) => restored(create, `/${id[0]}/i`, `/${id[0]}/w`).join(' '))),
    );
    expect(names.map((name) => stage.result(name))).toEqual(containers.map(({ id }) => `restored ${id}\n`));
  });
});
