// Two copies of this package may be loaded, so what a copy has made is recognised by a brand and never by its class.

/** Brand of every Answer. */
export const ANSWER: unique symbol = Symbol.for('iopa.Answer') as never

/** Brand of every context. */
export const CONTEXT: unique symbol = Symbol.for('iopa.Context') as never

/** Brand of every App. */
const APP: unique symbol = Symbol.for('iopa.App') as never

/** True for an App of any copy of the core: it answers requests, and is no answer itself. */
export const isBrandedApp = (value: object): boolean => APP in value

/** True for an Answer of any copy of this package. */
export const isBrandedAnswer = (value: object): boolean => ANSWER in value
