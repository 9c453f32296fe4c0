import type { Clock, Counters, Endpoint, Host } from '@iopa/transport'
import type { Extensions } from '../codec/extensions.ts'
import { AmplificationGuard } from '../exchanges/amplification.ts'
import type { Exchange, Remote } from '../exchanges/exchange.ts'
import { Uploads } from '../exchanges/uploads.ts'
import { type NotificationSource, Notifications, type Notifier } from '../observers/notifications.ts'
import { Observers } from '../observers/observers.ts'
import { ErrorResponses } from '../resources/error-responses.ts'
import { KeptAnswers } from '../resources/kept-answers.ts'
import { FormatTable } from '../resources/representation.ts'
import { ResourceServer } from '../resources/resource-server.ts'
import { Responses } from '../resources/responses.ts'

/** Bodies that are kept in parts, in either direction, may take so many times the limit of one body together. */
const BODIES = 16

/** What the servers of all listeners of one `coap()` have in common. */
export interface ServerSettings {
  readonly host: Host
  readonly clock: Clock
  readonly counters: Counters
  /** Size exponent of the largest block on datagrams. */
  readonly szx: number
  /** How many times the bytes of its request a response to an unverified peer may have; Infinity for any. */
  readonly amplification: number
  /** Responses to a multicast request are spread over so many milliseconds. */
  readonly leisure: number
  /** True where a multicast request gets a response for /.well-known/core alone. */
  readonly discoveryOnly: boolean
  /** Milliseconds for which parts of a body, in either direction, are kept. */
  readonly lifetime: number
  /** What the app takes beyond the messages that this package knows. */
  readonly extensions: Extensions
  /** Most bytes of a body in blocks that is collected before its request runs. */
  readonly collected: number
}

/** What a server needs of the transport below it. */
export interface ServerTransport<R extends Remote> {
  /** The two ends of a remote whose first request this is. */
  introduce(remote: R): Endpoint
  /** What sends the notifications of a source to the remote of an exchange. */
  notifier(exchange: Exchange<R>, source: NotificationSource): Notifier
}

/** The resources of an app and their observers, over one listener. */
export interface Server<R extends Remote> {
  readonly resources: ResourceServer<R>
  readonly observers: Observers<R>
}

/** Builds the server that answers the requests of one listener. */
export const serverOver = <R extends Remote>(settings: ServerSettings, { introduce, notifier }: ServerTransport<R>): Server<R> => {
  const { host, clock, counters, szx, amplification, leisure, discoveryOnly, lifetime, extensions, collected } = settings
  const { limits, logger, scope } = host
  const bytes = BODIES * limits.body
  const guard = new AmplificationGuard(clock, amplification)
  const formats = new FormatTable(scope.environment.codecs)
  const kept = new KeptAnswers({ clock, bytes, lifetime })
  const errors = new ErrorResponses({ limits, logger, guard, counters })
  const responses = new Responses({ clock, guard, errors, kept, szx, leisure })
  const uploads = new Uploads({ body: limits.body, collected, bytes, count: 1024, countPerOwner: 16, lifetime }, scope.environment.bodies)
  const notifications = new Notifications({ formats, kept, logger, szx })
  const observers = new Observers<R>({ host, counters, formats, responses, notifications, notifier })
  const resources = new ResourceServer<R>(host, clock, {
    guard,
    uploads,
    errors,
    responses,
    kept,
    formats,
    registrar: observers,
    extensions,
    introduce,
    discoveryOnly
  })
  return { resources, observers }
}
