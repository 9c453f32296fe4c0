/** A mistake in how a route is declared: thrown at registration, never while a request is routed. */
export const routeError = (code: string, detail: string): Error => Object.assign(new Error(detail), { code })
