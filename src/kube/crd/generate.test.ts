import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { CATEGORY } from './definition.ts';
import { CUSTOM_RESOURCES, crdFileName, crdYaml } from './generate.ts';
import { POLICY_DEFAULTS, reprievePolicy } from './reprieve-policy.ts';
import { hashOf, RECORDED_HASH } from './revision.ts';

type Json = { readonly [key: string]: unknown };

function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Every schema below `schema`, with its path. */
function* schemasIn(schema: Json, path: string): Iterable<{ path: string; schema: Json }> {
  yield { path, schema };
  const { properties, items, additionalProperties } = schema;
  if (isJson(properties)) {
    for (const [name, child] of Object.entries(properties))
      if (isJson(child)) yield* schemasIn(child, `${path}.${name}`);
  }
  if (isJson(items)) yield* schemasIn(items, `${path}[]`);
  if (isJson(additionalProperties)) yield* schemasIn(additionalProperties, `${path}{}`);
}

describe.each(CUSTOM_RESOURCES.map((custom) => [custom.resource.kind, custom] as const))(
  'the CRD of %s',
  (_, custom) => {
    it('is generated from the table', () => {
      const file = join(import.meta.dirname, '../../../deploy/crds', crdFileName(custom));
      expect(readFileSync(file, 'utf8')).toBe(crdYaml(custom));
    });

    it('bounds everything, so that the API server can bound the cost of its rules', () => {
      const unbounded: string[] = [];
      for (const part of [custom.spec, custom.status]) {
        for (const { path, schema } of part ? schemasIn(part.json, '') : []) {
          if (schema['type'] === 'string' && !('maxLength' in schema || 'enum' in schema || 'format' in schema))
            unbounded.push(path);
          if (schema['type'] === 'array' && !('maxItems' in schema)) unbounded.push(path);
          if ('additionalProperties' in schema && !('maxProperties' in schema)) unbounded.push(path);
        }
      }
      expect(unbounded).toEqual([]);
    });

    it('has a short name, a category and columns', () => {
      const crd = parse(crdYaml(custom)) as { spec: { names: Json; versions: readonly Json[] } };
      expect(crd.spec.names).toMatchObject({ shortNames: [custom.shortName], categories: [CATEGORY] });
      expect(crd.spec.versions).toHaveLength(1);
      expect(crd.spec.versions[0]?.['additionalPrinterColumns']).not.toHaveLength(0);
    });
  },
);

it('no resource can be meant by the name of the category', () => {
  const names = CUSTOM_RESOURCES.flatMap(({ resource: { plural, kind }, shortName }) => [
    plural,
    kind.toLowerCase(),
    shortName,
  ]);
  expect(new Set(names).size).toBe(names.length);
  expect(names).not.toContain(CATEGORY);
});

it('a change of what the CRDs accept is a new revision', () => {
  const hash = hashOf(CUSTOM_RESOURCES);
  const advice = `what the CRDs accept has changed: add '${hash}' to REVISIONS in src/kube/crd/revision.ts, and change no other line there`;
  expect(hash, advice).toBe(RECORDED_HASH);
});

it('words for people are no revision', () => {
  const reworded = CUSTOM_RESOURCES.map((custom) => ({ ...custom, description: 'other words' }));
  expect(hashOf(reworded)).toBe(hashOf(CUSTOM_RESOURCES));
  expect(hashOf(CUSTOM_RESOURCES.map((custom) => ({ ...custom, shortName: 'x' })))).not.toBe(hashOf(CUSTOM_RESOURCES));
});

describe('the defaults of a policy', () => {
  it('are those of the table, for every field', () => {
    const sections = reprievePolicy.spec.json['properties'] as Record<string, Json>;
    const inSchema = Object.keys(POLICY_DEFAULTS).map((section) => [section, defaultOf(sections[section] ?? {})]);
    expect(Object.fromEntries(inSchema)).toEqual(POLICY_DEFAULTS);
  });
});

/** Of a value: its default; of a section: those of its fields, which the server fills in because the section's is `{}`. */
function defaultOf({ properties, default: own }: Json): unknown {
  if (!isJson(properties) || !isJson(own) || Object.keys(own).length > 0) return own;
  return Object.fromEntries(Object.entries(properties).map(([name, field]) => [name, (field as Json)['default']]));
}
