import type { CustomResource } from '../crd/definition.ts';
import type { JsonSchema } from '../crd/schema.ts';
import type { KubeObject } from '../transport.ts';
import { wireOf, type Wire } from './wire.ts';

/** An object that an API server stored under another schema than the one known here. */
class TypeMismatch extends Error {
  override readonly name = 'TypeMismatch';
}

interface Keywords {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: JsonSchema;
  readonly items?: JsonSchema;
}

/**
 * The object as the given model. Throws where a member has another JSON type than the schema says. The API server checks
 * that, by the CRDs that it has: those of another version, or edited ones, let through what would fail far from here, in
 * every decision that looks at it. Absent and null members, unknown ones and unknown words of an enumeration pass: what
 * they mean is the projection's to say.
 */
export function typedOf<T>(object: KubeObject, { spec, status }: CustomResource): Wire<T> {
  checkTypes('spec', object['spec'], spec.json);
  if (status !== undefined) checkTypes('status', object['status'], status.json);
  return wireOf<T>(object);
}

/**
 * A number that decisions compare; 0 where it is absent. What is none would throw, or order nothing, only there, outside of
 * any projection.
 */
export function wholeNumber(field: string, value: unknown): number {
  if (value === undefined || value === null) return 0;
  if (!Number.isSafeInteger(value)) throw new TypeMismatch(`${field} is not of type integer`);
  return value as number;
}

/** A text that messages hold; '' where it is absent. What is none, a deeply nested list say, would throw only there. */
export function text(field: string, value: unknown): string {
  if (value === undefined || value === null) return '';
  if (typeof value !== 'string') throw new TypeMismatch(`${field} is not of type string`);
  return value;
}

function checkTypes(field: string, value: unknown, schema: JsonSchema): void {
  if (value === undefined || value === null) return;
  const { type, properties, additionalProperties, items } = schema as Keywords;
  if (!isOfType(value, type)) throw new TypeMismatch(`${field} is not of type ${type ?? 'any'}`);
  if (Array.isArray(value)) {
    for (const element of value as readonly unknown[]) {
      if (element === null) throw new TypeMismatch(`${field} has an element that is null`);
      if (items !== undefined) checkTypes(`${field}[]`, element, items);
    }
  } else if (typeof value === 'object') {
    const members = value as Readonly<Record<string, unknown>>;
    for (const name in properties) {
      if (Object.hasOwn(members, name)) checkTypes(`${field}.${name}`, members[name], properties[name] ?? {});
    }
    if (additionalProperties !== undefined) {
      for (const name of Object.keys(members)) checkTypes(`${field}.*`, members[name], additionalProperties);
    }
  }
}

function isOfType(value: unknown, type: string | undefined): boolean {
  switch (type) {
    case 'object':
      return typeof value === 'object' && !Array.isArray(value);
    case 'array':
      return Array.isArray(value);
    case 'integer':
      return Number.isSafeInteger(value);
    case 'string':
    case 'boolean':
      return typeof value === type;
    default:
      return true;
  }
}
