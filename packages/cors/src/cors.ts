import type { Context, Next } from '@iopa/appbuilder'
import { type AppHandle, type Extension, markFactory, optionError } from '@iopa/appbuilder/extension'
import { beforeSealing, isHttp, RECORD, type RunContext } from '@iopa/context/host'
import { type CorsOptions, checkCorsOptions } from './options.ts'
import { type OriginCheck, originCheck } from './origins.ts'
import { RouteMethods, USUAL_METHODS } from './route-methods.ts'

const NAMES = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:[ \t]*,[ \t]*[!#$%&'*+\-.^_`|~0-9A-Za-z]+)*$/

/**
 * Answers preflights, and says in every answer over HTTP which pages may read it (Fetch standard, "CORS protocol"). Use it before authentication:
 * preflights carry no credentials, and refusals need the fields as well.
 */
export const cors = (options: CorsOptions = {}): Extension<object> & { readonly neutral: true } => {
  checkCorsOptions(options, cors)
  const policy = new Policy(options)
  return {
    name: 'cors',
    // It reads the origin, and its fields are those of each observer's own stream: representations do not depend on it.
    neutral: true,
    extend(app) {
      policy.serve(app)
      return {}
    },
    invoke(context, next) {
      // The stream of an observer has had its head; a precondition has none.
      if (!isHttp(context['iopa.Scheme']) || context['server.IsNotification'] || context['server.IsPrecondition']) return next()
      return policy.handle(context, next)
    }
  }
}

markFactory('cors', cors)

type Fields = Context['response']['headers']

class Policy {
  readonly #check: OriginCheck | undefined
  readonly #credentials: boolean
  readonly #exposed: string
  readonly #methods: string | undefined
  readonly #allowHeaders: string | undefined
  readonly #maxAge: string | undefined
  readonly #privateNetwork: boolean
  #routes: RouteMethods | undefined

  constructor({ origin, methods, allowHeaders, exposeHeaders = [], credentials = false, maxAge, privateNetwork = false }: CorsOptions) {
    this.#check = originCheck(origin, credentials)
    this.#credentials = credentials
    this.#exposed = exposeHeaders.join(', ')
    this.#methods = methods?.join(', ')
    this.#allowHeaders = allowHeaders?.join(', ')
    this.#maxAge = maxAge?.toString()
    this.#privateNetwork = privateNetwork
  }

  serve(app: AppHandle): void {
    this.#routes = new RouteMethods(app)
  }

  handle(context: Context, next: Next): unknown {
    const origin = context['iopa.Headers'].get('origin')
    if (this.#check === undefined) return this.#allow(context, next, origin, '*')
    if (origin === undefined || context['iopa.Headers'].getAll('origin').length > 1) return this.#allow(context, next, origin, undefined)
    const verdict = this.#check(origin, context)
    if (typeof verdict === 'boolean') return this.#allow(context, next, origin, verdict ? origin : undefined)
    return Promise.resolve(verdict).then(given => this.#allow(context, next, origin, decided(given) ? origin : undefined))
  }

  /** `origin` is undefined where the request has none, `allowed` where it may not read the answer. */
  #allow(context: Context, next: Next, origin: string | undefined, allowed: string | undefined): unknown {
    if (origin !== undefined && context['iopa.Method'] === 'OPTIONS') {
      const method = context['iopa.Headers'].get('access-control-request-method')
      if (method !== undefined) return this.#preflight(context, allowed)
    }
    // Last of all callbacks: what handlers and middleware within have set is there.
    if (this.#check !== undefined) beforeSealing((context as RunContext)[RECORD], () => this.#write(context.response.headers, allowed))
    else this.#write(context.response.headers, allowed)
    return next()
  }

  #write(headers: Fields, allowed: string | undefined): void {
    if (this.#check !== undefined) addVary(headers, 'Origin')
    if (allowed === undefined) return
    headers.set('access-control-allow-origin', allowed)
    if (this.#credentials) headers.set('access-control-allow-credentials', 'true')
    if (this.#exposed !== '') headers.set('access-control-expose-headers', this.#exposed)
  }

  #preflight(context: Context, allowed: string | undefined): undefined {
    const { response } = context
    const { headers } = response
    response.status = 204
    if (this.#check !== undefined) headers.append('vary', 'Origin')
    if (this.#allowHeaders === undefined) headers.append('vary', 'Access-Control-Request-Headers')
    // A refused preflight says nothing: the browser does not send the request.
    if (allowed === undefined) return
    headers.set('access-control-allow-origin', allowed)
    if (this.#credentials) headers.set('access-control-allow-credentials', 'true')
    headers.set('access-control-allow-methods', this.#methods ?? (this.#routes?.of(context) ?? USUAL_METHODS).join(', '))
    const names = this.#allowHeaders ?? asked(context)
    if (names !== '') headers.set('access-control-allow-headers', names)
    if (this.#maxAge !== undefined) headers.set('access-control-max-age', this.#maxAge)
    if (this.#privateNetwork && context['iopa.Headers'].get('access-control-request-private-network') === 'true')
      headers.set('access-control-allow-private-network', 'true')
  }
}

/** Other libraries take an origin from such a function: that is not taken for yes. */
const decided = (verdict: unknown): boolean => {
  if (typeof verdict !== 'boolean') throw optionError("The function 'origin' of cors() returns true or false, or a promise of one.")
  return verdict
}

/** The fields that a preflight asks for; nothing where that is no list of names. */
const asked = (context: Context): string => {
  const names = context['iopa.Headers'].get('access-control-request-headers') ?? ''
  return NAMES.test(names) ? names : ''
}

/** Adds a name to Vary, and keeps those that are there (RFC 9110 section 12.5.5). */
const addVary = (headers: Fields, name: string): void => {
  const lower = name.toLowerCase()
  for (const value of headers.getAll('vary'))
    for (const part of value.split(',')) {
      const known = part.trim().toLowerCase()
      if (known === lower || known === '*') return
    }
  headers.append('vary', name)
}
