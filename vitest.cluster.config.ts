import { defineConfig } from 'vitest/config';

/** `npm run test:cluster`: tests against a real control plane, which is too heavy for two at a time. */
export default defineConfig({
  test: {
    include: ['test/cluster/**/*.test.ts'],
    maxWorkers: 1,
    fileParallelism: false,
    maxConcurrency: 50, // tests of one table that share a cluster: they wait more than they work
    testTimeout: 120_000,
    hookTimeout: 180_000,
  },
});
