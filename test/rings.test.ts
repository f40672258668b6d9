import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const src = join(dirname(dirname(fileURLToPath(import.meta.url))), 'src');

/** From the inside out. A folder may import from its own ring and from those before it. */
const RINGS: readonly (readonly string[])[] = [
  ['domain'],
  ['index', 'ports'],
  ['engine'],
  ['kube', 'observe', 'config'],
  ['http'],
  ['agent'],
  ['app', 'node-setup'],
  ['sim'],
  ['cli', 'main.ts'],
];
const PURE = new Set(['domain', 'index']);

interface Import {
  readonly from: string;
  readonly target: string;
}

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts') && !entry.name.endsWith('.test.ts'))
    .map((entry) => join(entry.parentPath, entry.name));
}

function importsOf(file: string): Import[] {
  const text = readFileSync(file, 'utf8');
  return [
    ...text.matchAll(/(?:import|export)\s[^;]*?from\s+'([^']+)'|import\(\s*'([^']+)'\s*\)|import\s+'([^']+)'/g),
  ].map((match) => ({ from: relative(src, file), target: (match[1] ?? match[2] ?? match[3]) as string }));
}

function ringOf(path: string): number {
  const top = path.split('/')[0] as string;
  return RINGS.findIndex((ring) => ring.includes(top));
}

const imports = sources(src).flatMap(importsOf);

/** A longer file of the engine holds two things. */
const LONGEST_OF_ENGINE = 250;

it('the engine has no long file', () => {
  const files = sources(join(src, 'engine'));
  expect(files.length).toBeGreaterThan(50);
  const long = files
    .map((file) => ({ file: relative(src, file), lines: readFileSync(file, 'utf8').trimEnd().split('\n').length }))
    .filter(({ lines }) => lines > LONGEST_OF_ENGINE);
  expect(long).toEqual([]);
});

describe('rings', () => {
  it('finds the imports it is to judge', () => {
    expect(imports.length).toBeGreaterThan(100);
    expect(imports.some(({ from, target }) => from.startsWith('engine/') && target.startsWith('../domain/'))).toBe(
      true,
    );
  });

  it('has a ring for every folder', () => {
    const unknown = readdirSync(src).filter((name) => ringOf(name) === -1);
    expect(unknown).toEqual([]);
  });

  it('imports inward only', () => {
    const outward = imports.filter(({ from, target }) => {
      if (!target.startsWith('.')) return false;
      return ringOf(relative(src, resolve(src, dirname(from), target))) > ringOf(from);
    });
    expect(outward).toEqual([]);
  });

  it('keeps domain and index free of packages and of Node.js', () => {
    const impure = imports.filter(
      ({ from, target }) => PURE.has(from.split('/')[0] as string) && !target.startsWith('.'),
    );
    expect(impure).toEqual([]);
  });

  it('keeps domain and index synchronous and silent', () => {
    const banned = /\b(?:async|await|Promise|console|Date\.now|setTimeout|setInterval|performance\.now|Math\.random)\b/;
    const noisy = sources(src)
      .filter((file) => PURE.has(relative(src, file).split('/')[0] as string))
      .filter((file) => banned.test(readFileSync(file, 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')))
      .map((file) => relative(src, file));
    expect(noisy).toEqual([]);
  });
});
