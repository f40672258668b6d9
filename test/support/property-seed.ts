import fc from 'fast-check';

const wanted = process.env.REPRIEVE_PROPERTY_SEED ?? '1';
const seed = wanted === 'random' ? Date.now() : Number(wanted);
if (!Number.isInteger(seed)) throw new Error(`REPRIEVE_PROPERTY_SEED: ${wanted} is neither "random" nor an integer`);

/** Properties draw the same cases in each run, so that a change fails only by what it did. */
fc.configureGlobal({ seed });
