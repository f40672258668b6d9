import { AppError } from '../../observe/error-codes.ts';

/** A v1.Node nests to about ten; JSON that nests deeper than this is not one, and would end the stack. */
const MAX_DEPTH = 64;

/**
 * The object without members and elements that are null. To Go an absent member and a null one are the same, and what we
 * send back to kube-scheduler holds no null at all.
 */
export function withoutNulls(field: string, object: object): object {
  return cleaned(field, object, 0) as object;
}

function cleaned(field: string, value: unknown, depth: number): unknown {
  if (value === Infinity || value === -Infinity) {
    // 1e400 and the like, which no Go client sends: `JSON.stringify` would write them as null.
    throw new AppError('MalformedBody', { field, expected: 'a v1 Node', found: 'a number that is too large' });
  }
  if (typeof value !== 'object' || value === null) return value;
  if (depth > MAX_DEPTH) {
    throw new AppError('MalformedBody', {
      field,
      expected: 'a v1 Node',
      found: `more than ${MAX_DEPTH} levels of nesting`,
    });
  }
  if (Array.isArray(value)) return value.filter(isPresent).map((element) => cleaned(field, element, depth + 1));
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, member]) => isPresent(member))
      .map(([name, member]) => [name, cleaned(field, member, depth + 1)]),
  );
}

function isPresent(value: unknown): boolean {
  return value !== null && value !== undefined;
}
