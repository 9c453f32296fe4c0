// Slots of a context that the core reads without an accessor on each request. Registered symbols, so that they are no keys of the bag, and two copies
// of this package share them.

/** The answer of a context, with everything that the core knows of it. */
export const RECORD: unique symbol = Symbol.for('iopa.Context.answer') as never

/** The scope of a context. */
export const SCOPE: unique symbol = Symbol.for('iopa.Context.scope') as never

/** What of a request is made when it is asked for. */
export const PARTS: unique symbol = Symbol.for('iopa.Context.parts') as never

/** The context behind the view of a mount. */
export const BEHIND: unique symbol = Symbol.for('iopa.Context.behind') as never

/** The context behind a view; any other value as it is. */
export const contextOf = <T extends object>(value: T): T => (value as { readonly [BEHIND]?: T })[BEHIND] ?? value
