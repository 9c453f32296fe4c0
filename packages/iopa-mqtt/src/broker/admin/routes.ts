import { type Clock, type Context, IopaError, isHttp, isLoopback, type RouteAttributes, type TransportApp } from '@iopa/transport'
import type { Session } from '../session/session.ts'
import type { Administration } from './administration.ts'
import { topicOfPath } from './names.ts'
import { Notices } from './notices.ts'

/** Items of a page unless asked for otherwise, and most of them. */
const PAGE = 100
const LARGEST_PAGE = 1000

type Handler = (context: Context, administration: Administration) => unknown

/** The routes by which an administrator sees a broker and acts on it; they are routes of the app and pass its middleware. */
export class AdminRoutes {
  readonly #app: TransportApp
  readonly #base: string
  #administration: Administration | null = null
  #notices: Notices | null = null

  /** Adds the routes below `base`. @throws IopaError 500 where the app has no router yet, or such a route already. */
  constructor(app: TransportApp, base: string) {
    this.#app = app
    this.#base = base
    this.#get('/statistics', 'Statistics of the MQTT broker', (_, administration) => administration.statistics())
    this.#get('/events', 'Events of MQTT clients', readEvents)
    this.#get('/sessions', 'MQTT sessions', (context, administration) => administration.list(text(context, 'after'), limitOf(context)))
    this.#get('/sessions/{key}', 'One MQTT session', async (context, administration) => administration.view(await session(context, administration)))
    this.#get('/sessions/{key}/subscriptions', 'Subscriptions of an MQTT session', readSubscriptions, UNOBSERVED)
    this.#get('/sessions/{key}/queue', 'Messages on their way to an MQTT client', readQueue, UNOBSERVED)
    this.#delete('/sessions/{key}', 'Ends an MQTT session', async (context, administration) =>
      administration.end(await session(context, administration))
    )
    this.#delete('/sessions/{key}/connection', 'Ends the connection of an MQTT client', kick)
    this.#get('/subscriptions', 'Subscriptions that match a topic', readRecipients, UNOBSERVED)
    this.#get('/retained', 'Retained messages', readRetained, UNOBSERVED)
    this.#get('/retained/{topic*}', 'One retained message', readRetainedMessage, UNOBSERVED)
    this.#delete('/retained/{topic*}', 'Deletes a retained message', deleteRetained)
  }

  /** The broker begins: events are recorded from now on. */
  open(administration: Administration, clock: Clock): void {
    this.#administration = administration
    this.#notices = new Notices(this.#app, this.#base, clock)
    administration.clientEvents.record(this.#notices.changed)
  }

  /** The statistics have changed. */
  statisticsChanged(): void {
    this.#notices?.statistics()
  }

  close(): void {
    this.#administration = null
    this.#notices?.close()
    this.#notices = null
  }

  #get(path: string, title: string, handler: Handler, attributes?: RouteAttributes): void {
    this.#add('GET', path, { title, ...attributes }, handler)
  }

  #delete(path: string, title: string, handler: Handler): void {
    this.#add('DELETE', path, { title }, handler)
  }

  #add(method: string, path: string, attributes: RouteAttributes, handler: Handler): void {
    this.#app.registry.add(method, this.#base + path, attributes, [
      onlyOperators,
      (context: Context) => {
        if (this.#administration === null) throw new IopaError(503, 'not-listening', 'The MQTT broker does not listen.')
        return handler(context, this.#administration)
      }
    ])
  }
}

/** For what changes without a notification. */
const UNOBSERVED: RouteAttributes = { obs: false }

/** Names of this machine in a URL. */
const OWN_NAMES = /^(localhost|127(\.\d{1,3}){3}|::1|\[::1\])$/i

/** True for a request from this machine. A page of a browser here can have its own name resolve to this machine (DNS rebinding); its requests show that name. */
const isFromHere = (context: Context): boolean =>
  isLoopback(context['server.RemoteAddress']) && (!isHttp(context['iopa.Scheme']) || OWN_NAMES.test(context.host))

const isOperator = (context: Context): boolean => context['server.IsLocalOrigin'] || context['server.User'] !== undefined || isFromHere(context)

/**
 * Refuses requests from other machines without a user: an app without authentication may listen for HTTP on any address, and must not show its
 * clients there. Notifications are not checked again: the observer was admitted when it began to observe.
 */
const onlyOperators = Object.assign(
  (context: Context, next: () => Promise<unknown>): unknown => {
    if (context['server.IsNotification'] || isOperator(context)) return next()
    throw new IopaError(
      403,
      'operator-expected',
      'The administration of the broker is for authenticated users, and for requests from this machine to localhost.'
    )
  },
  // Documents and discovery list its routes for operators alone.
  { permits: (as: Context): boolean => isOperator(as) }
)

const readEvents: Handler = (context, administration) => {
  const after = context.query.get('after')
  return administration.events(after === null ? undefined : numberOf(after, 'after', 0, Number.MAX_SAFE_INTEGER), limitOf(context))
}

const readSubscriptions: Handler = async (context, administration) =>
  administration.subscriptionsOf(await session(context, administration), text(context, 'after'), limitOf(context))

const readQueue: Handler = async (context, administration) => {
  const from = numberOf(context.query.get('after') ?? '0', 'after', 0, Number.MAX_SAFE_INTEGER)
  const payload = flag(context, 'payload')
  return administration.queue(await session(context, administration), from, limitOf(context), payload)
}

const kick: Handler = async (context, administration) => {
  if (!administration.kick(await session(context, administration))) throw notFound('This client is not connected.')
}

const readRecipients: Handler = (context, administration) => {
  const page = administration.subscriptionsTo(context.query.get('topic') ?? '', text(context, 'after'), limitOf(context))
  if (page === null) throw badQuery("Give the name of a topic as 'topic', without wildcards.")
  return page
}

const readRetained: Handler = async (context, administration) => {
  const page = await administration.retainedOf(context.query.get('filter') ?? '#', text(context, 'after'), limitOf(context))
  if (page === null) throw badQuery("Give a topic filter as 'filter', such as lights/#.")
  return page
}

const readRetainedMessage: Handler = (context, administration) => {
  const message = administration.retained(topicOf(context), flag(context, 'payload'))
  if (message === null) throw notFound('This topic has no retained message.')
  return message
}

const deleteRetained: Handler = async (context, administration) => {
  const topic = topicOf(context)
  if (topic.startsWith('$')) throw new IopaError(400, 'bad-topic', 'Topics that begin with $ belong to the broker.')
  if (administration.retained(topic, false) === null) throw notFound('This topic has no retained message.')
  if (!(await administration.deleteRetained(topic))) throw new IopaError(503, 'not-kept', 'The store fails: the retained message is kept.')
}

async function session(context: Context, administration: Administration): Promise<Session> {
  const found = await administration.find(context.params['key'] ?? '')
  if (found === undefined) throw notFound('There is no session of this key.')
  return found
}

function topicOf(context: Context): string {
  const topic = topicOfPath(context.params['topic'] ?? '')
  if (topic === null) throw notFound('This is not the path of a topic.')
  return topic
}

const text = (context: Context, name: string): string => context.query.get(name) ?? ''

const limitOf = (context: Context): number => numberOf(context.query.get('limit') ?? String(PAGE), 'limit', 1, LARGEST_PAGE)

function numberOf(value: string, name: string, least: number, most: number): number {
  const number = /^\d{1,16}$/.test(value) ? Number(value) : -1
  if (number < least || number > most) throw badQuery(`'${name}' is a whole number from ${least} to ${most}.`)
  return number
}

function flag(context: Context, name: string): boolean {
  const value = context.query.get(name) ?? 'false'
  if (value !== 'true' && value !== 'false') throw badQuery(`'${name}' is true or false.`)
  return value === 'true'
}

const notFound = (detail: string): IopaError => new IopaError(404, 'not-found', detail)
const badQuery = (detail: string): IopaError => new IopaError(400, 'bad-query', detail)
