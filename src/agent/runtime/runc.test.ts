import { spawn, type ChildProcess } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CommandError, type RunCommand } from './command.ts';
import { DumpError, Runc, type CheckpointOptions, type ContainerStatus } from './runc.ts';

/** A runtime with one container, which behaves as runc 1.3 does. */
class FakeRunc {
  status: ContainerStatus | 'gone' = 'running';
  pid = 0;
  readonly calls: string[] = [];
  /** Instead of a dump that succeeds. */
  onCheckpoint: () => Promise<void> = () => Promise.resolve();

  readonly run: RunCommand = async (_, args) => {
    const [verb = '', ...rest] = args[0] === '--root' ? args.slice(2) : args;
    if (verb !== 'state') this.calls.push([verb, ...rest].join(' '));
    switch (verb) {
      case 'state': {
        const { status, pid } = this;
        if (status === 'gone') throw failed('time="…" level=error msg="container does not exist"');
        return said(JSON.stringify({ ociVersion: '1.2.1', id: 'a', pid, status, bundle: '/b/a', owner: '' }));
      }
      case 'pause':
        this.#move('running', 'paused');
        break;
      case 'resume':
        this.#move('paused', 'running');
        break;
      case 'kill':
        if (this.status === 'gone' || this.status === 'stopped') throw failed('container not running');
        this.status = 'stopped';
        break;
      case 'checkpoint':
        await this.onCheckpoint();
    }
    return said('runc version 1.3.6+ds1\ncommit: 1.3.6\n');
  };

  #move(from: ContainerStatus, to: ContainerStatus): void {
    if (this.status !== from) throw failed(`cannot do that: ${this.status}`);
    this.status = to;
  }
}

function said(stdout: string): { stdout: string; stderr: string } {
  return { stdout, stderr: '' };
}

function failed(stderr: string): CommandError {
  return new CommandError('runc', 1, 'failed (1)', stderr);
}

let folder: string;
let fake: FakeRunc;
let runc: Runc;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'runc-'));
  fake = new FakeRunc();
  runc = new Runc({ command: 'runc', root: '/run/r', run: fake.run });
});
afterEach(() => rm(folder, { recursive: true }));

describe('Runc', () => {
  it('says its version', async () => {
    expect(await runc.version()).toBe('1.3.6+ds1');
  });

  it('tells the state of a container, and that it knows none', async () => {
    expect(await runc.state('a')).toEqual({ id: 'a', pid: 0, status: 'running', bundle: '/b/a' });
    fake.status = 'gone';
    expect(await runc.state('a')).toBeUndefined();
  });

  it('reports what else runc says of a container', async () => {
    const run: RunCommand = () => Promise.reject(failed('permission denied'));
    await expect(new Runc({ command: 'runc', root: '/run/r', run }).state('a')).rejects.toThrow('permission denied');
  });

  it('does nothing to a container that stands still, or runs, as it should', async () => {
    await runc.resume('a');
    await runc.pause(['a']);
    await runc.pause(['a']);
    expect(fake.status).toBe('paused');
    await runc.resume('a');
    expect(fake.status).toBe('running');
  });

  it.each(['stopped', 'gone'] as const)(
    'cannot pause a container that is %s; nothing of it need go on',
    async (status) => {
      fake.status = status;
      await expect(runc.pause(['a'])).rejects.toThrow('cannot do that');
      await runc.resume('a');
    },
  );

  it('kills, and does not mind that there is nothing left to kill', async () => {
    await runc.kill('a');
    await runc.kill('a');
    fake.status = 'gone';
    await runc.kill('a');
    expect(fake.calls).toEqual(['kill a KILL', 'kill a KILL', 'kill a KILL']);
  });

  it('reports a container that cannot be killed', async () => {
    runc = new Runc({
      command: 'runc',
      root: '/run/r',
      run: (command, args) => (args.includes('kill') ? Promise.reject(failed('no')) : fake.run(command, args)),
    });
    await expect(runc.kill('a')).rejects.toThrow('no');
  });
});

describe('a container whose cgroup is seen', () => {
  let cgroup: string;
  const state = (): Promise<string> => readFile(join(cgroup, 'cgroup.freeze'), 'utf8');
  beforeEach(async () => {
    cgroup = join(folder, 'cgroup/pod/a');
    fake.pid = process.pid; // one that is there
    await mkdir(join(folder, 'proc', String(process.pid)), { recursive: true });
    await writeFile(join(folder, 'proc', String(process.pid), 'cgroup'), '0::/pod/a\n');
    await mkdir(cgroup, { recursive: true });
    await writeFile(join(cgroup, 'cgroup.freeze'), '0');
    await writeFile(join(cgroup, 'cgroup.events'), 'frozen 1\n');
    await writeFile(join(cgroup, 'cgroup.procs'), '');
    const kernel = { mountPoint: join(folder, 'cgroup'), proc: join(folder, 'proc') };
    runc = new Runc({ command: 'runc', root: '/run/r', run: fake.run, kernel });
  });

  it('is frozen and thawed without a word to runc', async () => {
    await runc.pause(['a']);
    expect(await state()).toBe('1');
    await runc.resume('a');
    expect(await state()).toBe('0');
    expect(fake.calls).toEqual([]);
  });

  it('is thawed at once where it does not freeze in time', async () => {
    await writeFile(join(cgroup, 'cgroup.events'), 'frozen 0\n');
    await expect(runc.pause(['a'])).rejects.toThrow('did not stand still within 2 s');
    expect(await state()).toBe('0');
  });

  it('is thawed where somebody left it half frozen', async () => {
    await runc.state('a');
    await writeFile(join(cgroup, 'cgroup.events'), 'frozen 0\n');
    await writeFile(join(cgroup, 'cgroup.freeze'), '1');
    await runc.resume('a');
    expect(await state()).toBe('0');
    expect(fake.calls).toEqual([]);
  });
});

describe('Runc.checkpoint', () => {
  const paths = (isFrozen = false): CheckpointOptions => ({
    isFrozen,
    imagePath: join(folder, 'images'),
    workPath: join(folder, 'work'),
    token: 'token',
  });

  it('leaves the container running and names absolute folders', async () => {
    await runc.checkpoint('a', paths());
    expect(fake.calls).toEqual([
      `checkpoint --leave-running --image-path ${folder}/images --work-path ${folder}/work a`,
    ]);
  });

  it('says what criu said', async () => {
    fake.onCheckpoint = async () => {
      await writeFile(
        join(folder, 'work/dump.log'),
        "(00.1) Info\n(00.1) Error (criu/util.c:1534): rlimit: Can't setup RLIMIT_NOFILE for self: Operation not permitted\n(00.2) Error (criu/files-ext.c:1): Some new trouble\n(00.3) Error (criu/cr-dump.c:2): Dumping FAILED.\n",
      );
      throw failed('criu failed: type NOTIFY errno 0');
    };
    const error = await runc.checkpoint('a', paths()).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(DumpError);
    expect((error as DumpError).failure).toEqual({
      reason: 'Other',
      message: 'criu: Some new trouble',
    });
  });

  it('says what runc said when criu did not come that far', async () => {
    fake.onCheckpoint = () => Promise.reject(failed('criu: no such file'));
    await expect(runc.checkpoint('a', paths())).rejects.toThrow('runc failed (1): criu: no such file');
  });

  it.each(['running', 'paused'] as const)(
    'lets criu finish when it is aborted, and the container is %s as before',
    async (status) => {
      fake.status = status;
      const abort = new AbortController();
      let finished = false;
      fake.onCheckpoint = async () => {
        abort.abort(new Error('no longer wanted'));
        await sleep(20);
        finished = true;
      };
      await expect(runc.checkpoint('a', { ...paths(status === 'paused'), signal: abort.signal })).rejects.toThrow(
        'no longer wanted',
      );
      expect([finished, fake.status]).toEqual([true, status]);
    },
  );

  it('dumps nothing when it is aborted beforehand', async () => {
    const signal = AbortSignal.abort(new Error('late'));
    await expect(runc.checkpoint('a', { ...paths(), signal })).rejects.toThrow('late');
    expect(fake.calls).toEqual([]);
  });

  it('freezes a container again that stood still, when criu was killed by somebody', async () => {
    fake.status = 'paused';
    fake.onCheckpoint = () => {
      fake.status = 'running';
      return Promise.reject(failed('signal: killed'));
    };
    await expect(runc.checkpoint('a', paths(true))).rejects.toThrow('signal: killed');
    expect(fake.status).toBe('paused');
  });

  it('does not mind that the container ended meanwhile', async () => {
    fake.status = 'paused';
    fake.onCheckpoint = () => {
      fake.status = 'gone';
      return Promise.reject(failed('no process'));
    };
    await expect(runc.checkpoint('a', paths(true))).rejects.toThrow('no process');
  });
});

describe('Runc.undisturbed', () => {
  const started: ChildProcess[] = [];
  afterEach(() => {
    for (const child of started.splice(0)) child.kill('SIGKILL');
  });

  function start(args: readonly string[], env: Record<string, string>): ChildProcess {
    const child = spawn('sleep', args, { env: { ...process.env, ...env }, argv0: 'runc' });
    started.push(child);
    return child;
  }

  it('waits for what was started with the token', async () => {
    const child = start(['600'], { REPRIEVE_DUMP: 'mine' });
    await sleep(50);
    let isOver = false;
    const waiting = runc.undisturbed('mine').then(() => (isOver = true));
    await sleep(300);
    expect(isOver).toBe(false);
    child.kill('SIGKILL');
    await waiting;
  });

  it('is held up by no other process, whatever its arguments and its environment say', async () => {
    start(['600'], { REPRIEVE_DUMP: 'of another', NAME: 'checkpoint a mine' });
    await sleep(50);
    await expect(runc.undisturbed('mine')).resolves.toBeUndefined();
  });
});
