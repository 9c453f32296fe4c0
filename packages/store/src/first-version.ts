/** Half of the versions that an entity tag has room for beside its letters (CoAP: 8 bytes, RFC 7252 section 5.10.6): the other half is for changes. */
const STARTS = 2 ** 30

/**
 * The version that a new store begins with, at random: what a client remembers of a store that lived in another process, or whose folder was lost, must
 * match no state of this one.
 */
export const firstVersion = (): number => 1 + Math.floor(Math.random() * STARTS)
