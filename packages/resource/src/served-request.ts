import type { Context } from '@iopa/appbuilder'
import type { ResourceRequest } from '@iopa/appbuilder/extension'

const UNSET: unique symbol = Symbol('unset')

/** The request that a handler gets. What no schema has parsed is that of the context, read when the handler asks. */
export class ServedRequest implements ResourceRequest {
  readonly context: Context
  params: unknown
  input: unknown = undefined
  #query: unknown = UNSET
  #headers: unknown = UNSET

  constructor(context: Context) {
    this.context = context
    this.params = context['iopa.Params']
  }

  get query(): unknown {
    return this.#query === UNSET ? this.context.query : this.#query
  }
  set query(query: unknown) {
    this.#query = query
  }

  get headers(): unknown {
    return this.#headers === UNSET ? this.context.headers : this.#headers
  }
  set headers(headers: unknown) {
    this.#headers = headers
  }
}
