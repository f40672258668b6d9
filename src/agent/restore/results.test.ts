import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../ports/clock.ts';
import { firstAskedMs, forgetPod, PodResults, resultOf } from './results.ts';

const POD = '6f1b4f0e-8a51-4d3c-9f0a-0d7c2f4b1e11';
const OTHER = '11111111-8a51-4d3c-9f0a-0d7c2f4b1e11';

let runDir: string;

beforeEach(() => {
  runDir = mkdtempSync(join(tmpdir(), 'results-'));
});

afterEach(() => {
  rmSync(runDir, { recursive: true, force: true });
});

function put(pod: string, name: string, text: string): void {
  mkdirSync(join(runDir, 'pods', pod), { recursive: true });
  writeFileSync(join(runDir, 'pods', pod, name), text);
}

describe('the files of a pod', () => {
  it('say how a container began', async () => {
    put(POD, 'worker.result', 'restored abc\nmore\n');
    expect(await resultOf(runDir, POD, 'worker')).toEqual({ outcome: 'restored', containerId: 'abc' });
    expect(await resultOf(runDir, POD, 'sidecar')).toBeNull();
    expect(await resultOf(runDir, OTHER, 'worker')).toBeNull();
  });

  it.each(['', 'restored', 'RESTORED abc', 'cold ../abc', 'cold abc def/'])('"%s" is not a result', async (text) => {
    put(POD, 'worker.result', text);
    await expect(resultOf(runDir, POD, 'worker')).rejects.toThrow('is not a result');
  });

  it('are never looked for elsewhere', async () => {
    await expect(resultOf(runDir, '../x', 'worker')).rejects.toThrow('not the UID');
    await expect(resultOf(runDir, POD, '../worker')).rejects.toThrow('not the name');
    await expect(forgetPod(runDir, '..')).rejects.toThrow('not the UID');
    put(POD, 'worker.result', 'cold abc\n');
    symlinkSync(join(runDir, 'pods', POD, 'worker.result'), join(runDir, 'pods', POD, 'link.result'));
    await expect(resultOf(runDir, POD, 'link')).rejects.toThrow('ELOOP');
  });

  it('say when the pod was first asked for', async () => {
    expect(await firstAskedMs(runDir, POD)).toBeNull();
    put(POD, 'first', '');
    utimesSync(join(runDir, 'pods', POD, 'first'), 1000, 1000);
    expect(await firstAskedMs(runDir, POD)).toBe(1_000_000);
  });

  it('are forgotten with the pod, once or twice', async () => {
    put(POD, 'worker.result', 'cold abc\n');
    put(OTHER, 'worker.result', 'cold def\n');
    await forgetPod(runDir, POD);
    await forgetPod(runDir, POD);
    expect(existsSync(join(runDir, 'pods', POD))).toBe(false);
    expect(await resultOf(runDir, OTHER, 'worker')).toMatchObject({ outcome: 'cold' });
  });
});

describe('PodResults', () => {
  it('tells each result once, those that were there before it too, and goes on after a bad one', async () => {
    const told: string[] = [];
    const errors: string[] = [];
    put(POD, 'worker.result', 'restored a\n');
    put(POD, 'broken.result', 'what?\n');
    put(POD, 'first', '');
    mkdirSync(join(runDir, 'pods', 'not a pod'));
    const results = new PodResults({
      runDir,
      clock: systemClock,
      onResult: (pod, container, { outcome }) => void told.push(`${pod} ${container} ${outcome}`),
      onError: (error) => errors.push((error as Error).message),
    });
    await results.start();
    expect(told).toEqual([`${POD} worker restored`]);
    put(POD, 'sidecar.result', 'cold b\n');
    put(OTHER, 'worker.result', 'passed c\n');
    while (told.length < 3) await new Promise((resolve) => setTimeout(resolve, 5));
    await forgetPod(runDir, POD);
    await new Promise((resolve) => setTimeout(resolve, 1200));
    await results.stop();
    expect(told.toSorted()).toEqual(
      [`${POD} worker restored`, `${POD} sidecar cold`, `${OTHER} worker passed`].toSorted(),
    );
    expect(errors).toHaveLength(1);
  });

  it('tells a result again that could not be taken', async () => {
    const told: string[] = [];
    const errors: string[] = [];
    put(POD, 'worker.result', 'restored a\n');
    const results = new PodResults({
      runDir,
      clock: systemClock,
      onResult: (_, container) => {
        if (errors.length === 0) throw new Error('401');
        told.push(container);
      },
      onError: (error) => errors.push((error as Error).message),
    });
    await results.start();
    while (told.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    await results.stop();
    expect([told, errors]).toEqual([['worker'], ['401']]);
  });
});
