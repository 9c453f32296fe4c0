/** Cookies that are read, set and signed, and sessions with a store. */

export {}
