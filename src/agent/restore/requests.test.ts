import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../ports/clock.ts';
import type { Answer, RestoreRequest } from './request.ts';
import { RestoreRequests, type RestoreRequestsOptions } from './requests.ts';

const POD = '6f1b4f0e-8a51-4d3c-9f0a-0d7c2f4b1e11';

let runDir: string;
let errors: string[];
let asked: string[];
let agents: RestoreRequests[];

beforeEach(() => {
  runDir = mkdtempSync(join(tmpdir(), 'requests-'));
  errors = [];
  asked = [];
  agents = [];
});

afterEach(async () => {
  await Promise.all(agents.map((agent) => agent.stop()));
  rmSync(runDir, { recursive: true, force: true });
});

/** An agent that is running; by default it passes everything. */
async function agent(
  handler: RestoreRequestsOptions['handler'] = async () => ({ kind: 'pass' }),
  more: Partial<RestoreRequestsOptions> = {},
): Promise<RestoreRequests> {
  const requests = new RestoreRequests({
    runDir,
    clock: systemClock,
    handler: (request, signal, own) => {
      asked.push(`${request.id}#${request.attempt}`);
      return handler(request, signal, own);
    },
    onError: (error) => errors.push((error as Error).message),
    ...more,
  });
  agents.push(requests);
  await requests.start();
  return requests;
}

function folderOf(id: string): string {
  return join(runDir, 'requests', `${id}.d`);
}

function ask(id: string, changes: Readonly<Record<string, string>> = {}): void {
  mkdirSync(folderOf(id), { recursive: true });
  const lines = { kind: 'container', pod: POD, sandbox: 's', container: 'worker', id, bundle: '/b', attempt: '0' };
  put(
    id,
    'request',
    Object.entries({ ...lines, ...changes })
      .map(([key, value]) => `${key}=${value}\n`)
      .join(''),
  );
}

function put(id: string, name: string, text: string): void {
  writeFileSync(join(folderOf(id), `${name}.new`), text);
  renameSync(join(folderOf(id), `${name}.new`), join(folderOf(id), name));
}

function answerTo(id: string): string | null {
  const path = join(folderOf(id), 'answer');
  return existsSync(path) ? readFileSync(path, 'utf8') : null;
}

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** Two looks of each second go by. */
function looks(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 2100));
}

describe('RestoreRequests', () => {
  it('gives each attempt to the handler once, and its answer to the wrapper', async () => {
    await agent(async ({ attempt }) => {
      return attempt === 0 ? { kind: 'restore', imagePath: '/i', workPath: '/w', held: false } : { kind: 'pass' };
    });
    ask('a');
    await until(() => answerTo('a') !== null);
    expect(answerTo('a')).toBe('restore /i /w\n');
    await looks();
    expect(asked).toEqual(['a#0']);
    put('a', 'result', 'rc=1\nlog=/l\n');
    ask('a', { attempt: '1' });
    rmSync(join(folderOf('a'), 'answer'));
    await until(() => answerTo('a') !== null);
    expect(answerTo('a')).toBe('pass\n');
    expect(asked).toEqual(['a#0', 'a#1']);
    expect(errors).toEqual([]);
  });

  it('takes the next attempt up only when the answer to the last one is gone', async () => {
    await agent();
    ask('a');
    await until(() => answerTo('a') !== null);
    ask('a', { attempt: '1' });
    await looks();
    expect(asked).toEqual(['a#0']);
    rmSync(join(folderOf('a'), 'answer'));
    await until(() => answerTo('a') !== null);
    expect(asked).toEqual(['a#0', 'a#1']);
  });

  it('changes nothing for a wrapper that has given up, and owns what it has begun also as another process', async () => {
    const owned: string[] = [];
    const owns: RestoreRequestsOptions['handler'] = async ({ id }, _, own) => {
      await own();
      owned.push(id);
      return { kind: 'pass' };
    };
    ask('begun');
    writeFileSync(join(folderOf('begun'), 'owner'), '');
    ask('given-up');
    mkdirSync(join(folderOf('given-up'), 'owner'));
    await agent(owns);
    await until(() => answerTo('begun') !== null && errors.length > 0);
    expect([owned, answerTo('given-up')]).toEqual([['begun'], null]);
    expect(errors[0]).toBe('the wrapper creates the container without an answer');
  });

  it('handles several at the same time', async () => {
    const waiting = new Map<string, (answer: Answer) => void>();
    await agent(({ id }) => new Promise((resolve) => waiting.set(id, resolve)));
    for (const id of ['a', 'b', 'c']) ask(id);
    await until(() => waiting.size === 3);
    waiting.get('b')?.({ kind: 'refuse', message: 'no' });
    await until(() => answerTo('b') === 'refuse no\n');
    expect([answerTo('a'), answerTo('c')]).toEqual([null, null]);
    waiting.get('a')?.({ kind: 'pass' });
    waiting.get('c')?.({ kind: 'pass' });
    await until(() => answerTo('a') !== null && answerTo('c') !== null);
  });

  it('handles what is open when it starts, and not what was answered', async () => {
    ask('open');
    ask('answered');
    put('answered', 'answer', 'pass\n');
    ask('again', { attempt: '3' });
    await agent();
    await until(() => answerTo('open') !== null && answerTo('again') !== null);
    await looks();
    expect(asked.toSorted()).toEqual(['again#3', 'open#0']);
  });

  it('leaves what it stops in the middle of to the next agent', async () => {
    const first = await agent(
      (_, signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason as Error));
        }),
    );
    ask('a');
    await until(() => asked.length === 1);
    await first.stop();
    expect(answerTo('a')).toBeNull();
    await agent();
    await until(() => answerTo('a') !== null);
    expect(asked).toEqual(['a#0', 'a#0']);
    expect(errors).toEqual([]);
  });

  it('aborts when nobody waits any more', async () => {
    let reason = '';
    await agent(
      (_, signal) =>
        new Promise((resolve) => {
          signal.addEventListener('abort', () => {
            reason = (signal.reason as Error).message;
            resolve({ kind: 'pass' });
          });
        }),
    );
    ask('a');
    await until(() => asked.length === 1);
    rmSync(folderOf('a'), { recursive: true });
    await until(() => reason !== '');
    expect(reason).toBe('nobody waits for the answer');
    await looks();
    expect(existsSync(folderOf('a'))).toBe(false);
    expect(errors).toEqual([]);
  });

  it('says so when the wrapper was killed, and removes its request', async () => {
    const abandoned: RestoreRequest[] = [];
    let aborted = false;
    await agent(
      (_, signal) =>
        new Promise((resolve) => {
          signal.addEventListener('abort', () => {
            aborted = true;
            resolve({ kind: 'pass' });
          });
        }),
      { onAbandoned: (request) => void abandoned.push(request) },
    );
    ask('a', { process: `${process.pid}:1` }); // the pid is ours, but began at another time
    ask('b', { process: '4194305:1' });
    ask('c', { process: startOf(process.pid) });
    await until(() => abandoned.length === 2 && !existsSync(folderOf('a')) && !existsSync(folderOf('b')));
    await until(() => asked.length === 1);
    expect(asked).toEqual(['c#0']);
    expect(aborted).toBe(false);
    expect(abandoned.map(({ id }) => id).toSorted()).toEqual(['a', 'b']);
  });

  it('asks the handler again when it failed, and takes no failure for an answer', async () => {
    let failures = 0;
    await agent(async () => {
      if (failures++ < 2) throw new Error('a full disk');
      return { kind: 'restore', imagePath: '/i', workPath: '/w', held: false };
    });
    ask('a');
    await until(() => answerTo('a') !== null);
    expect(answerTo('a')).toBe('restore /i /w\n');
    expect(asked).toEqual(['a#0', 'a#0', 'a#0']);
    expect(errors).toEqual(['a full disk', 'a full disk']);
  });

  it('writes an answer again that could not be written', async () => {
    let isFirst = true;
    await agent(({ id }) => {
      // A folder in the place of the answer: the rename onto it fails.
      if (isFirst) mkdirSync(join(folderOf(id), 'answer.tmp/x'), { recursive: true });
      else rmSync(join(folderOf(id), 'answer.tmp'), { recursive: true });
      isFirst = false;
      return Promise.resolve({ kind: 'pass' });
    });
    ask('a');
    await until(() => answerTo('a') !== null);
    expect(errors).toHaveLength(1);
  });

  it('stops asking the handler when nobody waits any more', async () => {
    await agent(async () => {
      throw new Error('a defect');
    });
    ask('a');
    await until(() => errors.length > 0);
    rmSync(folderOf('a'), { recursive: true });
    await looks();
    const before = asked.length;
    await looks();
    expect(asked.length).toBe(before);
  });

  it('refuses a malformed request, and says once what was wrong', async () => {
    await agent();
    ask('a', { pod: '../..' });
    await until(() => answerTo('a') !== null);
    expect(answerTo('a')).toBe('refuse malformed request: an impossible pod\n');
    await looks();
    expect(errors).toEqual(['a.d: malformed request: an impossible pod']);
    expect(asked).toEqual([]);
  });

  it('follows no links and believes no sizes', async () => {
    const elsewhere = mkdtempSync(join(tmpdir(), 'elsewhere-'));
    mkdirSync(join(runDir, 'requests'), { recursive: true });
    ask('real');
    mkdirSync(folderOf('link'));
    symlinkSync(join(folderOf('real'), 'request'), join(folderOf('link'), 'request'));
    symlinkSync(elsewhere, folderOf('folder-link'));
    ask('large', { bundle: `/${'x'.repeat(5000)}` });
    mkdirSync(folderOf('folder'));
    mkdirSync(join(folderOf('folder'), 'request'));
    writeFileSync(join(runDir, 'requests', 'file.d'), 'kind=sandbox');
    mkdirSync(join(runDir, 'requests', 'not a name.d'));
    await agent();
    const bad = ['link', 'large', 'folder'];
    await until(() => [...bad, 'real'].every((id) => answerTo(id) !== null));
    expect(answerTo('real')).toBe('pass\n');
    for (const id of bad) expect(answerTo(id)).toMatch(/^refuse malformed request/);
    expect(existsSync(join(elsewhere, 'answer'))).toBe(false);
    expect(asked).toEqual(['real#0']);
    rmSync(elsewhere, { recursive: true });
  });
});

function startOf(pid: number): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return `${pid}:${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]}`;
}
