import { CodecTable, IopaError, isIopaError } from '@iopa/constants'
import type { Client } from '@iopa/context'
import { abortable, ContextFactory, type Environment, Scope } from '@iopa/context/host'
import { systemClock } from '../contract/clock.ts'
import { DEFAULT_LIMITS, mergeLimits } from '../contract/limits.ts'
import type { Credentials, Link, Serving } from '../contract/link.ts'
import type { ConnectOptions, Transport } from '../contract/transport.ts'
import { DEFAULT_TIMEOUT } from './call.ts'
import { createClient, type Send } from './client.ts'
import type { ClientOwner } from './client-owner.ts'
import { declarationsOf } from './declared-keys.ts'
import { ClientEngine } from './engine.ts'
import { marked } from './upstream.ts'

const MAX_LINKS = 64

/** A client of a transport without an app. */
export const openAlone = async (transport: Transport, url: URL, options: ConnectOptions): Promise<Client> => {
  const { clock = systemClock } = options
  const environment: Environment = {
    live: 0,
    lastId: 0,
    capabilities: transport.capabilities ?? {},
    logger: console,
    codecs: new CodecTable(transport.codecs),
    bodyLimit: mergeLimits(DEFAULT_LIMITS, options.limits).body,
    changes: null,
    clock,
    now: () => clock.now(),
    notify: () => undefined
  }
  const owner = { factory: new ContextFactory(environment), scope: new Scope(environment, null), dispatch: (send: Send) => send }
  return openClient(transport, url, options, owner)
}

/** A client of a transport, within the scope of its owner. */
export const openClient = async (transport: Transport, url: URL, options: ConnectOptions, owner: ClientOwner): Promise<Client> => {
  // A connection that comes too late is closed.
  const connecting = (): Promise<ClientEngine> => opened(transport, url, options)
  const engine = await abortable(options.signal, connecting, late => void late.close())
  const scope = new Scope(owner.scope.environment, owner.scope)
  scope.defer(() => engine.close())
  try {
    return createClient(engine, url, send => owner.dispatch(send), owner.factory, scope)
  } catch (error) {
    await scope.end()
    throw marked(error, 'upstream')
  }
}

const opened = async (transport: Transport, url: URL, options: ConnectOptions): Promise<ClientEngine> => {
  const { clock = systemClock, timeout, tls, maxLinks = MAX_LINKS } = options
  const serve = servingOf(transport, url, options)
  const limits = mergeLimits(DEFAULT_LIMITS, options.limits)
  const credentials = options.credentials ?? credentialsOf(url)
  const target = new URL(url)
  target.username = target.password = ''
  const open = (signal: AbortSignal): Promise<Link> =>
    within(signal, timeout, target, clock, (limit, waitsFor) =>
      transport.open(target, { signal: limit, clock, limits, tls, credentials, serve, waitsFor })
    )
  const giveUp = new AbortController()
  const abort = (): void => giveUp.abort(options.signal?.reason)
  options.signal?.addEventListener('abort', abort, { once: true })
  try {
    const first = await open(giveUp.signal)
    return new ClientEngine({
      open,
      first,
      clock,
      limits,
      timeout,
      maxLinks,
      observable: transport.observable,
      keys: declarationsOf(transport.keys),
      closed: () => serve?.host.scope.end('shutdown')
    })
  } catch (error) {
    void serve?.host.scope.end('shutdown')
    throw error === options.signal?.reason ? error : marked(error, 'upstream')
  } finally {
    options.signal?.removeEventListener('abort', abort)
  }
}

/** What serves the server of a client. @throws IopaError 501 where the transport cannot */
const servingOf = ({ name, serves }: Transport, { protocol }: URL, { serve }: ConnectOptions): Serving | undefined => {
  if (serve === undefined) return undefined
  if (serves !== true)
    throw new IopaError(501, 'not-served', `A client of ${name}() cannot serve its server: ${protocol} has requests in one direction.`)
  const { app, user } = 'app' in serve ? serve : { app: serve, user: undefined }
  app.build()
  return { host: app.host(name), user }
}

/** Opens a link in time. @throws IopaError 504 `timeout`, 502 `connect-failed`; the reason of `signal` */
export const within = async (
  signal: AbortSignal,
  timeout: number | undefined,
  { host, protocol }: URL,
  clock: NonNullable<ConnectOptions['clock']>,
  open: (signal: AbortSignal, waitsFor: (step: string) => void) => Promise<Link>
): Promise<Link> => {
  const limit = new AbortController()
  const abort = (): void => limit.abort(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  const place = host === '' ? protocol : host
  const time = timeout ?? DEFAULT_TIMEOUT
  let waiting = ''
  const late = (): void => limit.abort(new IopaError(504, 'timeout', `No connection to ${place} within ${time} ms${waiting}.`))
  const timer = clock.setTimeout(late, time, { keep: true })
  try {
    // No protocol makes the caller wait after the time; a connection that comes too late is closed.
    return await abortable(
      limit.signal,
      () =>
        open(limit.signal, step => {
          waiting = `: ${step}`
        }),
      link => void link.close()
    )
  } catch (cause) {
    if (limit.signal.aborted) throw limit.signal.reason
    if (isIopaError(cause)) throw cause
    throw new IopaError(502, 'connect-failed', `Cannot connect to ${place}.`, { cause })
  } finally {
    clock.clearTimeout(timer)
    signal.removeEventListener('abort', abort)
  }
}

/** User name and password of a URL; undefined for none. */
const credentialsOf = ({ username, password }: URL): Credentials | undefined =>
  username === '' && password === '' ? undefined : { username: decoded(username), password: decoded(password) }

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
