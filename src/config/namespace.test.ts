import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ownNamespace } from './namespace.ts';

let dir: string;
let file: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'reprieve-namespace-'));
  file = join(dir, 'namespace');
  await writeFile(file, 'of-the-account\n');
});
afterAll(() => rm(dir, { recursive: true }));

describe('ownNamespace', () => {
  const cases: Record<string, { configured?: string; variable?: string; inPod: boolean; want: string }> = {
    'is the configured one before all': { configured: 'given', variable: 'of-the-pod', inPod: true, want: 'given' },
    'is that of the pod where none is configured': { variable: 'of-the-pod', inPod: true, want: 'of-the-pod' },
    'is that of the service account where no variable tells': { inPod: true, want: 'of-the-account' },
    'takes an empty variable for none': { variable: '', inPod: true, want: 'of-the-account' },
    'is that of the manifests outside a pod': { inPod: false, want: 'reprieve-system' },
  };
  for (const [sentence, { configured, variable, inPod, want }] of Object.entries(cases)) {
    it(sentence, async () => {
      const sources = { environment: { POD_NAMESPACE: variable }, file: inPod ? file : join(dir, 'nowhere') };
      expect(await ownNamespace(configured ?? null, sources)).toBe(want);
    });
  }
});
