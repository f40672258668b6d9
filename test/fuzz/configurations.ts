import { ConfigurationError, parseConfiguration } from '../../src/config/load.ts';
import { sampleYaml } from '../../src/config/sample.ts';
import { parse } from 'yaml';
import { mutate } from '../wire/mutate.ts';
import { one, type FuzzCase, type FuzzSubject } from './subject.ts';
import { knownNames } from './verbs.ts';

const sample = sampleYaml();
/** The sample with the sections that are null there, so that they are changed as well. */
const whole = JSON.stringify({
  ...(parse(sample) as object),
  server: { port: 0, tls: { issue: { secretName: 'serving', names: ['localhost', '::1'], validity: '24h' } } },
  agent: { nodeName: 'n1', peer: { address: '10.0.0.1', port: 9444 } },
});

/** Of a mutant: the time to read nested YAML grows with its square, and a run has better use for it. */
const MAX_LENGTH = 8000;

/** What YAML can and JSON cannot say. */
const YAML_PARTS = [
  '&a [*a]',
  '*nobody',
  '!!js/function x',
  '!!binary aGk=',
  '!!set {a, b}',
  '? {a: b} : c',
  '<<: *x',
  '%YAML 9.9\n---\n',
  '---\n',
  '...\n',
  '\t',
  '|\n',
  '>-\n  a',
  '.inf',
  '.nan',
  '0o17',
  '2026-11-23',
  '[[[',
  '{{{',
  '"\\u',
  "'",
  '\u0000',
  '\uFEFF',
  '\u0085',
  '__proto__: {port: 1}',
  'constructor: 1',
  'a: &b {c: *b}',
];
const DEEP = ['[', '{a: ', '- ', '? ', '&a [', '!!map {a: '];

/** The sample file and one with every section, changed as a tree or as text. */
export const configurations: FuzzSubject = {
  name: 'config',
  share: 1,
  maker: (random) => ({ next: () => (random() < 0.5 ? fromTree(random) : fromText(random)) }),
};

function fromTree(random: () => number): FuzzCase {
  const { body, recipe } = mutate(whole, random, knownNames);
  if (body.length > MAX_LENGTH) return fromTree(random);
  return { input: body, recipe: ['JSON', ...recipe], ask };
}

function fromText(random: () => number): FuzzCase {
  const lines = sample.split('\n');
  const recipe = ['YAML'];
  for (let change = 0; change < 3; change++) {
    const at = Math.floor(random() * lines.length);
    const line = lines[at] ?? '';
    const damage = one(DAMAGES, random);
    recipe.push(damage.name);
    lines.splice(at, 1, ...damage(line, random));
  }
  return { input: lines.join('\n'), recipe, ask };
}

const DAMAGES: readonly ((line: string, random: () => number) => string[])[] = [
  function removed() {
    return [];
  },
  function twice(line) {
    return [line, line];
  },
  function indented(line, random) {
    return [' '.repeat(Math.floor(random() * 5)) + line];
  },
  function uncommented(line) {
    return [line.replace('#', '')];
  },
  function otherValue(line, random) {
    return [`${line.split(':')[0] ?? ''}: ${one(YAML_PARTS, random)}`];
  },
  function added(line, random) {
    return [line, one(YAML_PARTS, random)];
  },
  function deep(line, random) {
    return [`${line.split(':')[0] ?? ''}: ${one(DEEP, random).repeat(Math.floor(random() ** 4 * 3000))}`];
  },
];

/** Either a configuration that is complete, or an error that says at least one thing. */
function ask(input: string | Buffer): { readonly answer: string; readonly violations: readonly string[] } {
  let configuration: object;
  try {
    configuration = parseConfiguration(input.toString('utf8'), 'fuzz.yaml');
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    const isSaid = error.problems.length > 0 && error.problems.every((problem) => problem !== '');
    return { answer: 'config refused', violations: isSaid ? [] : ['a refusal without a reason'] };
  }
  return { answer: 'config taken', violations: incomplete(configuration, 'configuration') };
}

/** Numbers of a configuration become timers and sizes: each is one, and not negative. */
function incomplete(value: unknown, path: string): string[] {
  if (value === undefined) return [`${path} is missing`];
  if (typeof value === 'number') return Number.isFinite(value) && value >= 0 ? [] : [`${path} is ${value}`];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, member]) => incomplete(member, `${path}.${key}`));
}
