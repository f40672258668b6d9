import type { z } from 'zod';
import { AppError } from '../../observe/error-codes.ts';

/**
 * Keys of maps whose keys are chosen by users. A path into them is reported as `labels.*`: errors say where a problem
 * is, never what the body holds.
 */
const MAP_FIELDS: ReadonlySet<string> = new Set([
  'NodeNameToVictims',
  'NodeNameToMetaVictims',
  'labels',
  'annotations',
  'nodeSelector',
  'requests',
  'limits',
  'overhead',
  'allocatedResources',
]);

/**
 * A body as the value `schema` makes of it. Throws `MalformedBody` with the first problem. Members that a schema declares
 * with {@link absent} may be missing or null, which is the zero value, as Go reads it.
 */
export function readBody<S extends z.ZodType>(schema: S, raw: string | Buffer): z.output<S> {
  const parsed = schema.safeParse(parseJson(raw), { reportInput: true });
  if (parsed.success) return parsed.data;
  throw malformed(parsed.error.issues[0] as z.core.$ZodIssue);
}

/** Runs `project` on validated input. Whatever it throws is the fault of the input: what it reads was checked before. */
export function projected<T>(field: string, expected: string, project: () => T): T {
  try {
    return project();
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    // Nesting so deep that the stack ends is the one cause that is known.
    throw new AppError('MalformedBody', { field, expected, found: 'something else' }, cause);
  }
}

/** A member that may be absent or null: both are the zero value. */
export function absent<S extends z.ZodType>(schema: S): z.ZodOptional<z.ZodNullable<S>> {
  return schema.nullish();
}

function parseJson(raw: string | Buffer): unknown {
  if (raw.length === 0) throw new AppError('MalformedBody', { field: 'body', expected: 'JSON', found: 'nothing' });
  try {
    return JSON.parse(typeof raw === 'string' ? raw : raw.toString('utf8'));
  } catch (cause) {
    // The message of a SyntaxError quotes the body; of it only the position is passed on.
    const position = cause instanceof Error ? /at position (\d+)/.exec(cause.message)?.[1] : undefined;
    const found =
      position === undefined
        ? 'text that is not, or only the beginning of it'
        : `something else at character ${position}`;
    throw new AppError('MalformedBody', { field: 'body', expected: 'JSON', found });
  }
}

function malformed(issue: z.core.$ZodIssue): AppError {
  return new AppError('MalformedBody', {
    field: fieldOf(issue.path),
    expected: expectedOf(issue),
    found: foundOf(issue.input),
  });
}

function fieldOf(path: readonly PropertyKey[]): string {
  let field = '';
  let parent = '';
  for (const segment of path) {
    if (typeof segment === 'number') field += `[${segment}]`;
    else field += `${field === '' ? '' : '.'}${MAP_FIELDS.has(parent) ? '*' : String(segment)}`;
    parent = String(segment);
  }
  return field === '' ? 'body' : field;
}

function expectedOf(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return TYPE_NAMES[issue.expected] ?? withArticle(issue.expected);
    case 'invalid_value':
      return issue.values.map((value) => JSON.stringify(value)).join(' or ');
    case 'too_small':
      return issue.origin === 'string' ? 'a text that is not empty' : `a number of at least ${issue.minimum}`;
    case 'too_big':
      return `at most ${issue.maximum}`;
    case 'invalid_key':
      return 'keys that are not empty';
    default:
      return issue.message;
  }
}

/** Every number of these bodies is a whole one. */
const TYPE_NAMES: Readonly<Record<string, string>> = {
  int: 'a whole number',
  number: 'a whole number',
  record: 'an object',
};

/** What stands there, by kind alone. */
function foundOf(input: unknown): string {
  if (input === undefined) return 'nothing';
  if (input === null) return 'null';
  if (input === '') return 'an empty text';
  if (Array.isArray(input)) return 'an array';
  if (typeof input === 'number' && !Number.isSafeInteger(input)) return 'a number that is not a safe whole one';
  return withArticle(typeof input);
}

function withArticle(type: string): string {
  return `${/^[aeiou]/.test(type) ? 'an' : 'a'} ${type}`;
}
