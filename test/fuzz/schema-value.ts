import type { JsonSchema } from '../../src/kube/crd/schema.ts';
import { one } from './subject.ts';

/** Texts of every form that a pattern of our schemas asks for; each string takes one that fits it. */
const TEXTS = [
  'a',
  'web-0',
  'Ready',
  'n1',
  '',
  'constructor',
  '__proto__',
  'a.b/c',
  'ÄÖ 🧊',
  'x'.repeat(63),
  '0s',
  '0',
  '1s',
  '90s',
  '1h30m',
  '0.5h',
  '1000000h',
  '0.0001ms',
  '100m',
  '1.5',
  '.5',
  '5.',
  '+1',
  '-3',
  '5Gi',
  '2e3',
  '1E-9',
  '12e+02',
  '9'.repeat(40),
  `sha256:${'0f'.repeat(32)}`,
];
const TIMES = ['2026-11-23T10:00:00.000Z', '2026-11-23T10:00:00Z', '0001-01-01T00:00:00Z', '9999-12-31T23:59:59+14:00'];
const KEYS = [
  'a',
  'app',
  'constructor',
  '__proto__',
  'toString',
  'cpu',
  'memory',
  'pods',
  'nvidia.com/gpu',
  'hugepages-2Mi',
];

interface Keywords {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: JsonSchema;
  readonly items?: JsonSchema;
  readonly minItems?: number;
  readonly format?: string;
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
}

/** A value that kube-apiserver would store under a structural schema, CEL rules aside. */
export function schemaValue(schema: JsonSchema, random: () => number): unknown {
  const keywords = schema as Keywords;
  if (keywords.enum !== undefined) return one(keywords.enum, random);
  switch (keywords.type) {
    case 'object':
      return objectValue(keywords, random);
    case 'array': {
      const length = (keywords.minItems ?? 0) + Math.floor(random() ** 2 * 4);
      return Array.from({ length }, () => schemaValue(keywords.items ?? {}, random));
    }
    case 'string':
      return textValue(keywords, random);
    case 'integer': {
      const { minimum = Number.MIN_SAFE_INTEGER, maximum = Number.MAX_SAFE_INTEGER } = keywords;
      return one([minimum, maximum, Math.min(maximum, minimum + 1), Math.max(minimum, Math.min(maximum, 5))], random);
    }
    case 'boolean':
      return random() < 0.5;
    default:
      throw new Error(`no values of type ${String(keywords.type)}`);
  }
}

function objectValue({ properties = {}, required = [], additionalProperties }: Keywords, random: () => number): object {
  const members = Object.entries(properties)
    .filter(([name]) => required.includes(name) || random() < 0.7)
    .map(([name, schema]): [string, unknown] => [name, schemaValue(schema, random)]);
  if (additionalProperties !== undefined) {
    const count = Math.floor(random() * 4);
    for (let i = 0; i < count; i++) members.push([one(KEYS, random), schemaValue(additionalProperties, random)]);
  }
  return Object.fromEntries(members);
}

function textValue({ format, pattern, minLength = 0, maxLength = Infinity }: Keywords, random: () => number): string {
  if (format === 'date-time') return one(TIMES, random);
  const fits = TEXTS.filter(
    (text) =>
      text.length >= minLength && text.length <= maxLength && (pattern === undefined || new RegExp(pattern).test(text)),
  );
  if (fits.length === 0) throw new Error(`no text for ${String(pattern)}`);
  return one(fits, random);
}
