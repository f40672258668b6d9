import { describe, expect, it } from 'vitest';
import { AppError, ERROR_CODES, statusOf, type ErrorCode, type ErrorCodeEntry } from './error-codes.ts';

describe('AppError', () => {
  it('fills its message in', () => {
    const error = new AppError('BodyTooLarge', { limit: 5 });
    expect(error).toMatchObject({
      code: 'BodyTooLarge',
      message: 'the body is larger than 5 bytes',
      fields: { limit: 5 },
    });
  });

  it('fills in once: a value that looks like a field is not one', () => {
    const error = new AppError('MalformedBody', { field: '{found}', expected: 'JSON', found: 'nothing' });
    expect(error.message).toBe('{found}: expected JSON, found nothing');
  });

  it('keeps its cause, and has none where none was given', () => {
    const cause = new Error('why');
    expect(new AppError('Internal', {}, cause).cause).toBe(cause);
    expect(new AppError('Internal')).not.toHaveProperty('cause');
  });
});

describe('error codes', () => {
  it('travel with their HTTP status, or with 500 when they were not meant to travel', () => {
    expect(statusOf('MalformedBody')).toBe(400);
    expect(statusOf('ConfigurationInvalid')).toBe(500);
  });

  it('say what they mean in words, and never stand for success', () => {
    for (const [code, { status, message, meaning }] of Object.entries<ErrorCodeEntry>(ERROR_CODES)) {
      expect(code as ErrorCode).toMatch(/^[A-Z][A-Za-z]+$/);
      if (status !== null) expect(status).toBeGreaterThanOrEqual(400);
      expect(message, code).not.toBe('');
      expect(meaning, code).toMatch(/\.$/);
    }
  });
});
