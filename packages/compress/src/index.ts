/** Compressed answers: br, gzip and zstd. */

export {}
