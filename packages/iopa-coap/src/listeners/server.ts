import type { Clock, Counters, Endpoint, Host, Peer } from '@iopa/transport'
import type { LinkProtection } from '../client/link-init.ts'
import { AmplificationGuard } from '../exchanges/amplification.ts'
import type { Exchange, Remote } from '../exchanges/exchange.ts'
import { Uploads } from '../exchanges/uploads.ts'
import { type NotificationSource, Notifications, type Notifier } from '../observers/notifications.ts'
import { Observers } from '../observers/observers.ts'
import type { CoapSettings } from '../options.ts'
import { AssociatedRemote, Associations } from '../protection/associations.ts'
import { OuterBlocks } from '../protection/outer-blocks.ts'
import { ProtectedExchange } from '../protection/protected-exchange.ts'
import { ProtectedNotifier } from '../protection/protected-notifier.ts'
import { linkProtectionOf } from '../protection/protected-requester.ts'
import { ProtectedRequests, type Requests } from '../protection/protected-requests.ts'
import type { ProtectionUse } from '../protection/shared-protection.ts'
import { ErrorResponses } from '../resources/error-responses.ts'
import { KeptAnswers } from '../resources/kept-answers.ts'
import { FormatTable } from '../resources/representation.ts'
import { ResourceServer } from '../resources/resource-server.ts'
import { Responses } from '../resources/responses.ts'

/** Bodies that are kept in parts, in either direction, may take so many times the limit of one body together. */
const BODIES = 16

/** What the servers of all listeners of one `coap()` are made of. */
export interface ServerInit {
  readonly settings: CoapSettings
  readonly host: Host
  readonly clock: Clock
  readonly counters: Counters
  /** Opens requests that are protected from end to end; absent where there is none. */
  readonly protection?: Omit<ProtectionUse, 'release'> | undefined
}

/** What a server needs of the transport below it. */
export interface ServerTransport<R extends Remote> {
  /** The two ends of a remote whose first request this is. */
  introduce(remote: R): Endpoint
  /** What `context.peer` is for a security association that is reached at a remote; absent where peers get no requests. */
  peer?(remote: R, endpoint: Endpoint, protection: LinkProtection): Peer
  /** What sends the notifications of a source to the remote of an exchange. */
  notifier(exchange: Exchange<R>, source: NotificationSource): Notifier
}

/** The resources of an app and their observers, over one listener. */
export interface Server<R extends Remote> {
  readonly resources: Requests<R>
  readonly observers: {
    /** Notifies the observers of a remote, or all, that the server closes, and ends their observations. A promise resolves when that is sent, where it is not at once. */
    dismiss(remote?: R): Promise<void> | void
  }
}

/** Builds the server that answers the requests of one listener. */
export const serverOver = <R extends Remote>(init: ServerInit, transport: ServerTransport<R>): Server<R> => {
  const { host, clock, counters, protection } = init
  const { szx, amplification, discoveryOnly, extensions, collected } = init.settings
  const { leisure, exchangeLifetime: lifetime } = init.settings.transmission
  const { limits, logger, scope } = host
  const bytes = BODIES * limits.body
  const guard = new AmplificationGuard(clock, amplification)
  const formats = new FormatTable(scope.environment.codecs)
  const kept = new KeptAnswers({ clock, bytes, lifetime })
  const errors = new ErrorResponses({ limits, logger, guard, counters })
  const responses = new Responses({ clock, guard, errors, kept, szx, leisure })
  const { bodies } = scope.environment
  const uploads = new Uploads({ body: limits.body, collected, bytes, count: 1024, countPerOwner: 16, lifetime }, bodies)
  const notifications = new Notifications({ formats, kept, logger, szx })
  // What was protected goes on as an exchange of an association; all else is the transport's.
  const notifier = (exchange: Exchange<R | AssociatedRemote>, source: NotificationSource): Notifier =>
    exchange instanceof ProtectedExchange
      ? new ProtectedNotifier(exchange, source, (outer, protectedSource) => transport.notifier(outer as Exchange<R>, protectedSource))
      : transport.notifier(exchange as Exchange<R>, source)
  const observers = new Observers<R | AssociatedRemote>({ host, counters, formats, responses, notifications, notifier })
  const resources = new ResourceServer<R | AssociatedRemote>(host, clock, {
    guard,
    uploads,
    errors,
    responses,
    kept,
    formats,
    registrar: observers,
    extensions,
    discoveryOnly,
    introduce: remote => transport.introduce(remote as R),
    ...(protection === undefined ? undefined : { bars: (remote, path) => !(remote instanceof AssociatedRemote) && protection.active.requires(path) })
  })
  if (protection === undefined) return { resources, observers }
  const { name, option, active } = protection
  const released = (): Promise<void> => Promise.resolve()
  const associations = new Associations({
    host,
    clock,
    name,
    lifetime,
    uploads: remote => uploads.holds(remote),
    peer: (remote, endpoint, requests) =>
      transport.peer?.(remote as R, endpoint, linkProtectionOf({ protection: requests, option, clock, timeout: limits.requestTimeout }, released)),
    ended: remote => resources.forget(remote)
  })
  const blocks = new OuterBlocks({ clock, guard, errors, responses, bodies, szx, lifetime })
  const requests = new ProtectedRequests<R>({ host, clock, counters, option, protection: active, associations, blocks, inner: resources })
  const dismiss = (remote?: R): Promise<void> | undefined => {
    const associated = remote === undefined ? [] : associations.at(remote)
    observers.dismiss(remote)
    for (const one of associated) observers.dismiss(one)
    return requests.settled
  }
  return { resources: requests, observers: { dismiss } }
}
