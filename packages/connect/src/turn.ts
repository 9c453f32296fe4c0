import type { Context, Next, User } from '@iopa/appbuilder'
import { IopaError } from '@iopa/constants'
import { faultOf } from './faults.ts'
import type { ConnectRequest } from './keys.ts'
import { isReplaced, passThrough } from './passing.ts'
import { NodeRequest } from './request.ts'
import { NodeResponse } from './response.ts'

/** What all turns of one middleware share. */
export interface Settings {
  readonly name: string
  readonly run: (request: NodeRequest, response: NodeResponse, next: (error?: unknown) => void) => unknown
  readonly user: ((user: unknown, request: ConnectRequest) => User | undefined) | undefined
}

const AT_WORK = 0
const CALLED_ON = 1
const ANSWERED = 2
const FAILED = 3

/** One middleware at one request: it calls on, answers or fails, at once or later, and only the first of these counts. */
export class Turn {
  readonly #settings: Settings
  readonly #context: Context
  readonly #next: Next
  readonly #request: NodeRequest
  readonly #response: NodeResponse
  #state: typeof AT_WORK | typeof CALLED_ON | typeof ANSWERED | typeof FAILED = AT_WORK
  /** What the rest of the pipeline gave, or the error. */
  #outcome: unknown
  /** Ends the wait of the run, where the middleware has returned before it was done. */
  #resolve: ((value: unknown) => void) | null = null
  #reject: ((error: unknown) => void) | null = null

  constructor(settings: Settings, context: Context, next: Next) {
    this.#settings = settings
    this.#context = context
    this.#next = next
    this.#request = requestOf(context)
    this.#response = this.#request.res as NodeResponse
  }

  /** What the middleware of the app returns: the value of the rest, or nothing where the middleware has answered. */
  run(): unknown {
    const response = this.#response
    // One before it has answered, and called on all the same.
    if (response.answers) return undefined
    response.awaitAnswer(error => (error === undefined ? this.#end(ANSWERED, undefined) : this.#fail(error)))
    try {
      const returned = this.#settings.run(this.#request, response, error => this.#called(error))
      // Promises of libraries too.
      if (isThenable(returned)) returned.then(undefined, (error: unknown) => this.#fail(error))
    } catch (error) {
      if (this.#state === CALLED_ON) throw faultOf(error)
      this.#fail(error)
    }
    if (this.#state === FAILED) throw this.#outcome
    if (this.#state !== AT_WORK) return this.#outcome
    return new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  #called(error: unknown): void {
    // 'route' and 'router' leave a part of Express that is not here.
    if (error !== undefined && error !== null && error !== 'route' && error !== 'router') this.#fail(error)
    else if (this.#state === AT_WORK) this.#callOn()
    else if (this.#state === CALLED_ON) {
      // The app says in its own way that the rest runs once.
      const refused = this.#next()
      if (this.#resolve === null) this.#outcome = refused
    }
  }

  #callOn(): void {
    const { user } = this.#settings
    const context = this.#context
    const request = this.#request as unknown as ConnectRequest
    try {
      if (user !== undefined) {
        const found = request['user'] === undefined || request['user'] === null ? undefined : user(request['user'], request)
        if (found !== undefined) context['server.User'] = found
        else if (context['server.User'] === undefined) throw noUser()
      }
      const response = this.#response
      if (!response.callOn()) return
      if (!response.passes && isReplaced(response)) {
        response.passes = true
        context.onSendingHeaders(() => passThrough(context, response))
      }
    } catch (error) {
      this.#fail(error)
      return
    }
    this.#end(CALLED_ON, this.#next())
  }

  #fail(error: unknown): void {
    if (this.#state === AT_WORK) this.#end(FAILED, faultOf(error))
    else if (!this.#context.ended || this.#state !== ANSWERED)
      this.#context['server.Logger'].error(`iopa: ${this.#context}: '${this.#settings.name}' failed after it had called next() or answered`, error)
  }

  #end(state: typeof CALLED_ON | typeof ANSWERED | typeof FAILED, outcome: unknown): void {
    if (this.#state !== AT_WORK) return
    this.#state = state
    this.#outcome = outcome
    if (state === FAILED) this.#reject?.(outcome)
    else this.#resolve?.(outcome)
  }
}

/** The request and its response, made by the first middleware that needs them, and the same for all others of the run. */
const requestOf = (context: Context): NodeRequest => {
  const known = context['connect.Request'] as unknown as NodeRequest | undefined
  if (known !== undefined) {
    known.place(context)
    return known
  }
  const request = new NodeRequest(context)
  const response = new NodeResponse(context, request)
  request.res = response
  context['connect.Request'] = request as unknown as ConnectRequest
  context.defer(reason => {
    request.over(reason === 'finish')
    response.over(reason === 'finish')
  })
  return request
}

const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === 'object' && value !== null && typeof (value as { readonly then?: unknown }).then === 'function'

/** For a request that authentication has let pass without a user. */
export const noUser = (): IopaError => new IopaError(401, 'no-user', 'Authenticate: nothing can be served here without a user.')
