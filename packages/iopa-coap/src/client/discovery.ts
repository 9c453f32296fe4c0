import { badAnswer, type Client, checkOptions, IopaError, type ReceivedAnswer } from '@iopa/transport'
import { filterLinks, type ParsedLink, parseLinks } from '../formats/link-format.ts'

const LINK_FORMAT = 'application/link-format'

/** Options of `collect()`. */
export interface CollectOptions {
  /** Milliseconds for which answers are collected; the leisure of the group and two seconds, 7,000, unless given. One machine that is no group gives its one answer. */
  readonly time?: number
  readonly headers?: Readonly<Record<string, string>>
  /** Ends the collection. */
  readonly signal?: AbortSignal
}

/** Options of `discover()`: attributes that a link must have (RFC 6690 section 4.1), a pattern may end with `*`. */
export interface DiscoverOptions extends CollectOptions {
  /** Resource type. */
  readonly rt?: string
  /** Interface description. */
  readonly if?: string
  /** Content-Format. */
  readonly ct?: string | number
  /** Path. */
  readonly href?: string
  /** Only what can be observed. */
  readonly obs?: true
}

/** A link that a machine has listed. */
export interface DiscoveredLink extends ParsedLink {
  /** The target, absolute. */
  readonly url: URL
  /** The machine that has listed it: what `app.connect` takes. */
  readonly peer: URL
}

const COLLECT: Record<keyof CollectOptions, true> = { time: true, headers: true, signal: true }
const DISCOVER: Record<keyof DiscoverOptions, true> = { ...COLLECT, rt: true, if: true, ct: true, href: true, obs: true }

/**
 * Sends a GET to all members of a multicast group, and gives each answer as it comes, one of each member; `answer['coap.Peer']` is the URL of that. A
 * member whose answer is an error is left out. `client` is connected to the group: `app.connect('coap://224.0.1.187')`.
 */
export const collect = (client: Client, path: string, options: CollectOptions = {}): AsyncIterable<ReceivedAnswer> => {
  checkOptions('collect()', options, COLLECT, collect)
  const query = path.indexOf('?')
  const own = query < 0 ? path : path.slice(0, query)
  return collected(client, client.pathBase + own, query < 0 ? '' : path.slice(query + 1), options)
}

const collected = (client: Client, path: string, query: string, { time = 0, headers, signal }: CollectOptions): AsyncIterable<ReceivedAnswer> =>
  client.observe({
    'iopa.Method': 'GET',
    'iopa.Path': path,
    'iopa.QueryString': query,
    'coap.CollectFor': time,
    ...(headers === undefined ? undefined : { 'iopa.Headers': headers }),
    ...(signal === undefined ? undefined : { 'iopa.CallCancelled': signal })
  })

/**
 * Asks a machine, or all members of a multicast group, for the links that they list (RFC 7252 section 7.2), and gives those with the attributes that are
 * asked for. Rejects with `bad-answer` where answers have come and none is a list of links.
 */
export const discover = async (client: Client, options: DiscoverOptions = {}): Promise<DiscoveredLink[]> => {
  checkOptions('discover()', options, DISCOVER, discover)
  const asked = (['rt', 'if', 'ct', 'href', 'obs'] as const).flatMap(name => {
    const value = options[name]
    return value === undefined ? [] : [value === true ? name : `${name}=${value}`]
  })
  const found: DiscoveredLink[] = []
  let unread: unknown
  let lists = 0
  const { time = 0, headers = {}, signal } = options
  const query = asked.map(encodeURIComponent).join('&').replaceAll('%3D', '=')
  const waiting = { time, headers: { accept: LINK_FORMAT, ...headers }, ...(signal === undefined ? undefined : { signal }) }
  for await (const answer of collected(client, '/.well-known/core', query, waiting)) {
    try {
      // A server need not filter (RFC 6690 section 4.1).
      found.push(...filterLinks(await linksOf(answer), asked))
      lists++
    } catch (error) {
      unread ??= error
    }
  }
  if (lists === 0 && unread !== undefined) throw badAnswer('What the peer lists is no document of links (RFC 6690).', unread)
  return found
}

const linksOf = async (answer: ReceivedAnswer): Promise<DiscoveredLink[]> => {
  const peer = answer['coap.Peer']
  if (peer === undefined || (answer.type !== '' && !answer.type.startsWith(LINK_FORMAT)))
    throw new IopaError(502, 'bad-answer', `The answer is of type ${answer.type}.`)
  return parseLinks(await answer.text()).flatMap(link => {
    const url = URL.canParse(link.href, peer) ? new URL(link.href, peer) : undefined
    return url === undefined ? [] : [{ ...link, url, peer }]
  })
}
