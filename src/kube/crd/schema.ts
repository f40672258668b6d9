/**
 * Builders of the structural schemas in our CRDs. Each schema also carries the TypeScript type of what it describes, so
 * that the objects we write are checked against the same table that the YAML is generated from.
 *
 * Everything has an upper bound (`maxLength`, `maxItems`, `maxProperties`): kube-apiserver estimates the cost of a CEL
 * rule from them and refuses a CRD whose rules could become too expensive.
 */
export interface Schema<
  T,
  Presence extends 'required' | 'optional' | 'defaulted' = 'required' | 'optional' | 'defaulted',
> {
  readonly json: JsonSchema;
  readonly presence: Presence;
  /** Never set: it carries the type. */
  readonly type?: T;
}

export type JsonSchema = { readonly [keyword: string]: unknown };

/** A CEL rule. `self` is the value of the schema it stands on, `oldSelf` what was stored before. */
export interface Rule {
  readonly rule: string;
  readonly message: string;
}

/** The type of the values a schema describes. */
export type Infer<S> = S extends Schema<infer T> ? T : never;

type Fields = { readonly [name: string]: Schema<unknown> };
type RequiredNames<F extends Fields> = { [K in keyof F]: F[K]['presence'] extends 'required' ? K : never }[keyof F];
type ObjectOf<F extends Fields> = { readonly [K in RequiredNames<F>]: Infer<F[K]> } & {
  readonly [K in Exclude<keyof F, RequiredNames<F>>]?: Infer<F[K]>;
};

function schema<T>(json: JsonSchema): Schema<T, 'required'> {
  return { json, presence: 'required' };
}

/** The field may be absent. */
export function optional<T>(given: Schema<T>): Schema<T, 'optional'> {
  return { json: given.json, presence: 'optional' };
}

/** The server fills the field in where it is absent. */
export function withDefault<T>(given: Schema<T>, value: NoInfer<T>): Schema<T, 'defaulted'> {
  return { json: { ...given.json, default: value }, presence: 'defaulted' };
}

export function described<T, P extends 'required' | 'optional' | 'defaulted'>(
  description: string,
  given: Schema<T, P>,
): Schema<T, P> {
  const { description: _, ...json } = given.json;
  return { json: { description, ...json }, presence: given.presence };
}

export function text(
  maxLength: number,
  more: { readonly pattern?: string; readonly minLength?: number } = {},
): Schema<string, 'required'> {
  return schema({ type: 'string', maxLength, ...more });
}

/** An object name: at most a DNS subdomain. */
export const name = text(253, { minLength: 1 });
/** UIDs are UUIDs in practice; the bound is wider because the API does not promise it. */
export const uid = text(128, { minLength: 1 });

export function oneOf<const V extends string>(...values: readonly V[]): Schema<V, 'required'> {
  return schema({ type: 'string', enum: values });
}

export function integer(minimum: number, maximum: number = Number.MAX_SAFE_INTEGER): Schema<number, 'required'> {
  return schema({ type: 'integer', format: 'int64', minimum, maximum });
}

export const boolean: Schema<boolean, 'required'> = schema({ type: 'boolean' });

/** RFC 3339; ours have milliseconds. */
export const timestamp: Schema<string, 'required'> = schema({ type: 'string', format: 'date-time' });

/** A Go-style duration between two bounds, for example `1h30m`. */
export function duration(minimum: string, maximum: string): Schema<string, 'required'> {
  return schema({
    type: 'string',
    maxLength: 32,
    pattern: '^(0|([0-9]+(\\.[0-9]+)?(ms|s|m|h))+)$',
    'x-kubernetes-validations': [
      {
        rule: `duration(self) >= duration('${minimum}') && duration(self) <= duration('${maximum}')`,
        message: `must be between ${minimum} and ${maximum}`,
      },
    ],
  });
}

/** A Kubernetes quantity, as text. */
export const quantity = text(48, {
  pattern: '^[+-]?([0-9]+|[0-9]+\\.[0-9]*|\\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$',
});

export function list<T>(items: Schema<T>, maxItems: number, more: JsonSchema = {}): Schema<readonly T[], 'required'> {
  return schema({ type: 'array', maxItems, items: items.json, ...more });
}

/** A list whose elements are told apart by `key`: writers of different elements do not disturb each other. */
export function listByKey<T>(
  items: Schema<T>,
  key: keyof T & string,
  maxItems: number,
): Schema<readonly T[], 'required'> {
  return list(items, maxItems, { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': [key] });
}

export function map<T>(values: Schema<T>, maxProperties: number): Schema<Readonly<Record<string, T>>, 'required'> {
  return schema({ type: 'object', maxProperties, additionalProperties: values.json });
}

/** Any object; the server stores its fields without knowing them. */
export const anyObject: Schema<Readonly<Record<string, unknown>>, 'required'> = schema({
  type: 'object',
  'x-kubernetes-preserve-unknown-fields': true,
});

export function object<const F extends Fields>(
  fields: F,
  rules: readonly Rule[] = [],
  more: JsonSchema = {},
): Schema<ObjectOf<F>, 'required'> {
  const required = Object.keys(fields).filter((field) => fields[field]?.presence === 'required');
  return schema({
    type: 'object',
    ...(required.length > 0 && { required }),
    properties: Object.fromEntries(Object.entries(fields).map(([field, { json }]) => [field, json])),
    ...(rules.length > 0 && { 'x-kubernetes-validations': rules }),
    ...more,
  });
}

/** Required fields that never change. `what`: the object, in the message. */
export function unchanged(what: string, ...fields: readonly string[]): Rule {
  return {
    rule: fields.map((field) => `self.${field} == oldSelf.${field}`).join(' && '),
    message: `${what} is immutable`,
  };
}

/** Optional ones: neither added, nor removed, nor changed. */
export function unchangedIfAny(what: string, ...fields: readonly string[]): Rule {
  const isUnchanged = (field: string): string =>
    `has(self.${field}) == has(oldSelf.${field}) && (!has(self.${field}) || self.${field} == oldSelf.${field})`;
  return { rule: fields.map(isUnchanged).join(' && '), message: `${what} is immutable` };
}

/** `sha256:<hex>` */
export const digest = text(128, { pattern: '^[a-z0-9]+:[0-9a-fA-F]{32,}$' });

/** A standard condition (`metav1.Condition`), with millisecond timestamps. */
const condition = object({
  type: text(316, { minLength: 1 }),
  status: oneOf('True', 'False', 'Unknown'),
  observedGeneration: optional(integer(0)),
  lastTransitionTime: timestamp,
  reason: text(1024, { minLength: 1, pattern: '^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$' }),
  message: text(32_768),
});

export type Condition = Infer<typeof condition>;

export const conditions = listByKey(condition, 'type', 16);

const labelSelectorOperator = oneOf('In', 'NotIn', 'Exists', 'DoesNotExist');

/** `metav1.LabelSelector`. */
export const labelSelector = object(
  {
    matchLabels: optional(map(text(63), 32)),
    matchExpressions: optional(
      list(
        object(
          { key: text(317, { minLength: 1 }), operator: labelSelectorOperator, values: optional(list(text(63), 64)) },
          [
            {
              rule: "self.operator in ['In', 'NotIn'] ? has(self.values) && size(self.values) > 0 : !has(self.values) || size(self.values) == 0",
              message: 'In and NotIn need values, Exists and DoesNotExist take none',
            },
          ],
        ),
        32,
      ),
    ),
  },
  [],
  { 'x-kubernetes-map-type': 'atomic' },
);
