/** Validators, Cache-Control, and a cache of answers that changes invalidate. */

export {}
