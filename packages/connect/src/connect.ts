import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Context, defineMiddleware, type Next, type User } from '@iopa/appbuilder'
import type { DefinedMiddleware } from '@iopa/appbuilder/extension'
import { argumentError, checkOptions, kindOf, markFactory } from '@iopa/appbuilder/extension'
import { isHttp } from '@iopa/context/host'
import { CONNECT_KEYS, type ConnectRequest } from './keys.ts'
import { noUser, type Settings, Turn } from './turn.ts'

/** Options of `connect()`. */
export interface ConnectOptions {
  /**
   * True promises that what the middleware reads of a peer does not shape representations, as with helmet or passport: observers then share
   * runs. False unless given.
   */
  readonly neutral?: boolean
}

/** Options of `connect()` for middleware that authenticates. */
export interface ConnectUserOptions extends ConnectOptions {
  /**
   * The user of the app for what the middleware has set as `req.user`; undefined for none. A request that is left without a user is refused with
   * 401, on every protocol: what comes after the middleware may rely on `server.User`.
   */
  readonly user: (user: never, request: ConnectRequest) => User | undefined
}

const OPTIONS: Record<keyof ConnectUserOptions, true> = { neutral: true, user: true }

type NodeMiddleware = (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void) => unknown
/** Express names types of its own for request and response. */
type AnyMiddleware = (request: never, response: never, next: never) => unknown

/** The overloads of `connect`. */
interface Connect {
  (middleware: NodeMiddleware, options: ConnectUserOptions): DefinedMiddleware<never, 'server.User'>
  (middleware: AnyMiddleware, options: ConnectUserOptions): DefinedMiddleware<never, 'server.User'>
  (middleware: NodeMiddleware, options?: ConnectOptions): DefinedMiddleware<never, never>
  (middleware: AnyMiddleware, options?: ConnectOptions): DefinedMiddleware<never, never>
}

/**
 * Runs middleware of Express or Connect, `(req, res, next)`, on HTTP requests; on other protocols it does nothing. Header fields that it sets before
 * `next()` are those of the answer, `next(error)` is the error of the run, and middleware that answers by itself ends it.
 * @throws IopaError 500 for anything but such a function.
 */
export const connect: Connect = (
  middleware: unknown,
  options: ConnectOptions & Partial<ConnectUserOptions> = {}
): DefinedMiddleware<never, never> => {
  if (typeof middleware !== 'function')
    throw argumentError(connect, 'bad-middleware', `connect() takes a function (req, res, next), not ${kindOf(middleware)}.`)
  if (middleware.length > 3)
    throw argumentError(
      connect,
      'bad-middleware',
      'connect() takes no error middleware (error, req, res, next): errors reach the middleware of the app that waits for next().'
    )
  checkOptions('connect()', options, OPTIONS, connect)
  const { user, neutral } = options
  const name = middleware.name === '' ? 'connect' : middleware.name
  const settings: Settings = { name, run: middleware as Settings['run'], user: user as Settings['user'] }
  const invoke = (context: Context, next: Next): unknown => {
    if (isHttp(context.scheme)) return new Turn(settings, context, next).run()
    if (user !== undefined && context.user === undefined && context.scheme !== 'iopa') throw noUser()
    return next()
  }
  return defineMiddleware<never, never>(
    {
      name,
      keys: CONNECT_KEYS,
      ...(user !== undefined && { provides: ['server.User'] as unknown as readonly never[] }),
      ...(neutral !== undefined && { neutral })
    },
    invoke
  )
}

markFactory('connect', connect)
