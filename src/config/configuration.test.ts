import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { DEFAULT_COST_MODEL } from '../domain/victim-cost.ts';
import { DEFAULT_ENGINE_SETTINGS } from '../engine/core/steps.ts';
import { defaultConfiguration, engineSettingsOf } from './configuration.ts';
import { generatedFiles } from './generate.ts';
import { ConfigurationError, loadConfiguration, parseConfiguration } from './load.ts';

const folder = join(import.meta.dirname, '../../config');
const head = 'apiVersion: config.reprieve.dev/v1alpha1\nkind: ReprieveConfiguration\n';

/** The lines an operator reads. */
function problems(text: string): readonly string[] {
  try {
    parseConfiguration(text, 'reprieve.yaml');
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems;
    throw error;
  }
  return [];
}

describe('ReprieveConfiguration', () => {
  it('means the defaults of the engine where it says nothing', () => {
    const configuration = parseConfiguration(head, 'x');
    expect(configuration).toEqual(defaultConfiguration());
    expect(engineSettingsOf(configuration)).toEqual(DEFAULT_ENGINE_SETTINGS);
    expect(configuration.extender.cost).toEqual(DEFAULT_COST_MODEL);
  });

  it('ships a sample that holds every key at its default', async () => {
    expect(await loadConfiguration(join(folder, 'reprieve.yaml'))).toEqual(defaultConfiguration());
  });

  it('reads durations, quantities and JSON', () => {
    const file = {
      apiVersion: 'config.reprieve.dev/v1alpha1',
      kind: 'ReprieveConfiguration',
      restore: { maxGate: '1m30s' },
      extender: { cost: { dumpBytesPerSecond: '2Gi' } },
      server: { tls: { certFile: 'c', keyFile: 'k' } },
    };
    const configuration = parseConfiguration(JSON.stringify(file), 'x');
    expect(configuration.restore.maxGateMs).toBe(90_000);
    expect(configuration.extender.cost.dumpBytesPerSecond).toBe(2 ** 31);
    expect(configuration.server.tls).toEqual({
      certificate: { source: 'files', certFile: 'c', keyFile: 'k' },
      clientCaFile: null,
      allowedClientNames: [],
    });
  });

  it('has Reprieve issue its certificate where it says no more than that', () => {
    expect(parseConfiguration(`${head}server: {tls: {issue: {}}}`, 'x').server.tls).toEqual({
      certificate: {
        source: 'issue',
        secretName: 'reprieve-serving',
        names: null,
        webhookConfiguration: 'reprieve',
        guardConfiguration: 'reprieve-guard',
        validityMs: 90 * 24 * 3_600_000,
      },
      clientCaFile: null,
      allowedClientNames: [],
    });
  });

  const mistakes: Record<string, { given: string; want: RegExp }> = {
    'an unknown key, with what was meant': {
      given: `${head}restore: {maxgate: 5m}`,
      want: /^restore\.maxgate: unknown key; did you mean maxGate\?$/,
    },
    'an unknown key that resembles none': {
      given: `${head}zzzzzz: 1`,
      want: /^zzzzzz: unknown key; expected one of .*server/,
    },
    'a wrong type': {
      given: `${head}server: {port: "x"}`,
      want: /^server\.port: found "x", expected a whole number from 0 to 65535$/,
    },
    'a number out of range': { given: `${head}server: {port: 70000}`, want: /^server\.port: found 70000/ },
    'a bad duration': {
      given: `${head}restore: {maxGate: soon}`,
      want: /^restore\.maxGate: found "soon", expected a duration/,
    },
    'a bad choice': {
      given: `${head}extender: {onUnsynced: Wait}`,
      want: /^extender\.onUnsynced: found "Wait", expected one of Hold, PassThrough$/,
    },
    'a list for a mapping': {
      given: `${head}server: [1]`,
      want: /^server: found a list, expected a mapping with keys$/,
    },
    'another version': { given: 'apiVersion: v1\nkind: ReprieveConfiguration', want: /^apiVersion: found "v1"/ },
    'a duration that no date can hold': {
      given: `${head}saving: {defaultMaxDelay: 99999999999999999999h}`,
      want: /^saving\.defaultMaxDelay: found "9+h", expected a duration from 1ms to 8760h, as 30s or 1h30m$/,
    },
    'infinity by its name': {
      given: `${head}extender: {cost: {displacementFactor: .inf}}`,
      want: /^extender\.cost\.displacementFactor: found Infinity, expected a number of at least 0$/,
    },
    'an element of a list': {
      given: `${head}server: {tls: {certFile: c, keyFile: k, allowedClientNames: [1]}}`,
      want: /^server\.tls\.allowedClientNames\.0: found 1, expected a text that is not empty$/,
    },
    'an address that others reach, without a check of clients': {
      given: `${head}server: {address: 0.0.0.0, tls: {issue: {}}}`,
      want: /^server\.address: found "0\.0\.0\.0", expected an address of the loopback; or tls\.clientCaFile, or insecure: true$/,
    },
    'plain HTTP for others': { given: `${head}server: {address: '10.0.0.1'}`, want: /^server\.address: found/ },
    'TLS without a certificate': {
      given: `${head}server: {tls: {clientCaFile: ca}}`,
      want: /^server\.tls: found a mapping, expected either certFile and keyFile, or issue$/,
    },
    'a certificate without its key': { given: `${head}server: {tls: {certFile: c}}`, want: /^server\.tls: found/ },
    'a certificate that is given and issued': {
      given: `${head}server: {tls: {certFile: c, keyFile: k, issue: {}}}`,
      want: /^server\.tls: found/,
    },
    'a half of the files besides an issued one': {
      given: `${head}server: {tls: {keyFile: k, issue: {}}}`,
      want: /^server\.tls: found/,
    },
    'a name that no certificate can have': {
      given: `${head}server: {tls: {issue: {names: [localhost, '*.a.b', '::1', 10.0.0.256]}}}`,
      want: /^server\.tls\.issue\.names\.3: found "10\.0\.0\.256", expected a DNS name or an IP address$/,
    },
    'no names at all': {
      given: `${head}server: {tls: {issue: {names: []}}}`,
      want: /^server\.tls\.issue\.names: found a list, expected at least one DNS name/,
    },
    'an unknown key of what is issued': {
      given: `${head}server: {tls: {issue: {secretname: x}}}`,
      want: /^server\.tls\.issue\.secretname: unknown key; did you mean secretName\?$/,
    },
    'a certificate that is over at once': {
      given: `${head}server: {tls: {issue: {validity: 1m}}}`,
      want: /^server\.tls\.issue\.validity: found "1m", expected a duration from 1h /,
    },
    'a section that is empty': { given: `${head}server:`, want: /^server: found null, expected a mapping with keys$/ },
    'nesting that no stack holds': {
      given: `${head}server:\n  port: ${'? '.repeat(30_000)}?\nlog: {}`,
      want: /^file: nests too deep to be read$/,
    },
    'an alias without an anchor': { given: `${head}server: *nowhere`, want: /^file: Unresolved alias .*nowhere$/ },
    'a tag that means nothing': { given: `${head}log: !secret {level: warn}`, want: /^line 3, column 6: .*!secret/ },
    'a key that is given twice': { given: `${head}log: {}\nlog: {}`, want: /^line 4, column 1: .*unique/ },
    'an empty file': {
      given: '# nothing yet\n',
      want: /^file: empty, expected at least apiVersion: config.reprieve.dev\/v1alpha1 and kind: ReprieveConfiguration$/,
    },
    'a second document': {
      given: `${head}---\napiVersion: v1`,
      want: /^line 3, column 1: a second YAML document begins; a configuration is one document$/,
    },
    'text that is not YAML': { given: `${head}server: {port: [`, want: /^line \d+, column \d+: / },
  };
  for (const [sentence, { given, want }] of Object.entries(mistakes)) {
    it(`names ${sentence}`, () => {
      expect(problems(given)[0]).toMatch(want);
    });
  }

  it('lists all problems at once', () => {
    expect(problems(`${head}server: {port: x}\nlog: {level: loud}`)).toHaveLength(2);
  });

  it('says each once', () => {
    expect(problems(`${head}extender: {cost: {coldStart: 1e5s}}`)).toHaveLength(1);
  });

  it('does not follow aliases until the memory is full', () => {
    const list = (of: string): string => `[${Array.from({ length: 9 }, () => of).join()}]`;
    const bomb = `a: &a ${list('1')}\nb: &b ${list('*a')}\nc: &c ${list('*b')}\nd: ${list('*c')}\n`;
    expect(problems(head + bomb)).toEqual([expect.stringMatching(/^file: Excessive alias count/)]);
  });

  it('says so when the file is not there', async () => {
    await expect(loadConfiguration('/nowhere/reprieve.yaml')).rejects.toMatchObject({
      code: 'ConfigurationUnreadable',
    });
  });
});

describe('config/kube-scheduler.yaml', () => {
  it('has preempt fail closed, and the rest fail open', () => {
    const { extenders } = parse(readFileSync(join(folder, 'kube-scheduler.yaml'), 'utf8')) as { extenders: object[] };
    expect(extenders).toMatchObject([
      { preemptVerb: 'preempt', ignorable: false, nodeCacheCapable: true },
      { filterVerb: 'filter', prioritizeVerb: 'prioritize', ignorable: true, nodeCacheCapable: true },
    ]);
    const { port } = defaultConfiguration().server;
    for (const extender of extenders) expect(extender).toMatchObject({ urlPrefix: `http://127.0.0.1:${port}/v1` });
  });
});

describe('generated files', () => {
  it('are what the schema says', async () => {
    for (const [name, wanted] of await generatedFiles()) expect(readFileSync(join(folder, name), 'utf8')).toBe(wanted);
  });
});
