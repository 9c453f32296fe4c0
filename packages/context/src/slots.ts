// Slots of a context that the core reads without an accessor on each request. Symbols, so that they are no keys of the bag.

/** The answer of a context, with everything that the core knows of it. */
export const RECORD: unique symbol = Symbol('answer') as never

/** The scope of a context. */
export const SCOPE: unique symbol = Symbol('scope') as never

/** What of a request is made when it is asked for. */
export const PARTS: unique symbol = Symbol('parts') as never

/** The context behind the view of a mount. */
export const BEHIND: unique symbol = Symbol('context') as never

/** The context behind a view; any other value as it is. */
export const contextOf = <T extends object>(value: T): T => (value as { readonly [BEHIND]?: T })[BEHIND] ?? value
