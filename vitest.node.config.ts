import { defineConfig } from 'vitest/config';

/** `npm run test:node`: tests against real nodes, one suite at a time. */
export default defineConfig({
  test: {
    include: ['test/node/**/*.test.ts'],
    maxWorkers: 1,
    fileParallelism: false,
    testTimeout: 180_000,
    hookTimeout: 300_000,
  },
});
