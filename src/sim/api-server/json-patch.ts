import { isRecord, sameJson, type JsonRecord } from './json.ts';
import { badRequest, unprocessable } from './status-error.ts';

interface Operation {
  readonly op: string;
  readonly path: string;
  readonly from: string | undefined;
  readonly value: unknown;
}

/**
 * RFC 6902. Unchanged parts are shared with `document`, which is left alone. An operation that does not apply, a failed
 * `test` among them, throws a 422 and nothing of the patch takes effect; a patch that is none throws a 400.
 */
export function applyJsonPatch(document: unknown, patch: unknown): unknown {
  let result = document;
  for (const operation of operationsOf(patch)) result = apply(result, operation);
  return result;
}

function operationsOf(patch: unknown): readonly Operation[] {
  if (!Array.isArray(patch))
    throw badRequest('error decoding patch: json: cannot unmarshal into []handlers.jsonPatchOp');
  return patch.map((entry: unknown) => {
    if (!isRecord(entry) || typeof entry['op'] !== 'string' || typeof entry['path'] !== 'string') {
      throw badRequest('error decoding patch: operation without op or path');
    }
    const from = typeof entry['from'] === 'string' ? entry['from'] : undefined;
    return { op: entry['op'], path: entry['path'], from, value: entry['value'] };
  });
}

function apply(document: unknown, { op, path, from, value }: Operation): unknown {
  const tokens = tokensOf(path);
  switch (op) {
    case 'add':
      return edit(document, tokens, { kind: 'add', value });
    case 'remove':
      return edit(document, tokens, { kind: 'remove' });
    case 'replace':
      return edit(document, tokens, { kind: 'replace', value });
    case 'test':
      if (!sameJson(valueAt(document, tokens) ?? null, value ?? null)) throw unprocessable();
      return document;
    case 'copy':
    case 'move': {
      if (from === undefined) throw badRequest(`error decoding patch: ${op} without from`);
      const source = tokensOf(from);
      const moved = valueAt(document, source);
      if (moved === undefined) throw unprocessable();
      const rest = op === 'move' ? edit(document, source, { kind: 'remove' }) : document;
      return edit(rest, tokens, { kind: 'add', value: moved });
    }
    default:
      throw unprocessable();
  }
}

type Edit = { readonly kind: 'add' | 'replace'; readonly value: unknown } | { readonly kind: 'remove' };

function edit(target: unknown, [token, ...rest]: readonly string[], change: Edit): unknown {
  if (token === undefined) {
    if (change.kind === 'remove') throw unprocessable();
    return change.value;
  }
  if (Array.isArray(target)) return editList(target, token, rest, change);
  if (!isRecord(target)) throw unprocessable();
  const has = Object.hasOwn(target, token);
  if (!has && (rest.length > 0 || change.kind !== 'add')) throw unprocessable();
  const copy: JsonRecord = { ...target };
  if (rest.length > 0) copy[token] = edit(target[token], rest, change);
  else if (change.kind === 'remove') delete copy[token];
  else copy[token] = change.value;
  return copy;
}

function editList(target: readonly unknown[], token: string, rest: readonly string[], change: Edit): unknown {
  const isAppend = token === '-' && change.kind === 'add' && rest.length === 0;
  const index = isAppend ? target.length : indexOf(token);
  const end = rest.length === 0 && change.kind === 'add' ? target.length : target.length - 1;
  if (index > end) throw unprocessable();
  if (rest.length > 0) return target.with(index, edit(target[index], rest, change));
  if (change.kind === 'remove') return target.toSpliced(index, 1);
  return change.kind === 'add' ? target.toSpliced(index, 0, change.value) : target.with(index, change.value);
}

function valueAt(document: unknown, tokens: readonly string[]): unknown {
  let value = document;
  for (const token of tokens) {
    if (Array.isArray(value)) value = value[indexOf(token)] as unknown;
    else if (isRecord(value)) value = Object.hasOwn(value, token) ? value[token] : undefined;
    else return undefined;
  }
  return value;
}

function indexOf(token: string): number {
  if (!/^(0|[1-9]\d*)$/.test(token)) throw unprocessable();
  return Number(token);
}

function tokensOf(pointer: string): readonly string[] {
  if (pointer === '') return [];
  if (!pointer.startsWith('/')) throw unprocessable();
  return pointer
    .slice(1)
    .split('/')
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
}
