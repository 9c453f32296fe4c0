// What has changed lately, on which protocol and by whom: for the page.
import { type Context, defineMiddleware, type IopaError, type MiddlewareFunction } from '@iopa/appbuilder'

/** A request that changed something, or was refused. */
export interface Change {
  readonly at: number
  readonly protocol: string
  readonly method: string
  readonly path: string
  readonly status: number
  readonly peer: string
}

const MOST = 200
const CHANGING: ReadonlySet<string> = new Set(['PUT', 'POST', 'PATCH', 'iPATCH', 'DELETE'])

/** The newest changes of the house. */
export class ChangeLog {
  readonly #changes: Change[] = []
  #last = 0

  /** Notes each change that passes. */
  readonly middleware: MiddlewareFunction = defineMiddleware({ name: 'changes', neutral: true }, async (context, next) => {
    if (!CHANGING.has(context.method)) return next()
    try {
      const value = await next()
      this.#add(context, context.response.status)
      return value
    } catch (error) {
      this.#add(context, (error as Partial<IopaError>).status ?? 500)
      throw error
    }
  })

  /** The changes behind the one with this number; all where this house has not counted so far. */
  since(after: number): { readonly items: readonly Change[]; readonly last: number } {
    const count = after > this.#last ? MOST : this.#last - after
    return { items: count <= 0 ? [] : this.#changes.slice(-count), last: this.#last }
  }

  #add({ method, path, protocol, remoteAddress, remotePort }: Context, status: number): void {
    const peer = remoteAddress === '' ? 'this process' : `${remoteAddress}:${remotePort}`
    this.#changes.push({ at: Date.now(), protocol, method, path, status, peer })
    this.#last++
    if (this.#changes.length > MOST) this.#changes.shift()
  }
}
