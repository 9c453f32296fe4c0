// A resource directory (RFC 9176): devices register what they have, others look it up, and the directory asks back.
import { App, type Context, IopaError, reply } from '@iopa/appbuilder'
import { type ParsedLink, parseLinks, serializeLinks } from '@iopa/coap'
import { router } from '@iopa/router'
import { type Registration, Registrations, type Statement } from './registrations.ts'

const LINK_FORMAT = 'application/link-format'
/** Seconds, where a device names none (section 5). */
const LIFETIME = 90_000
const LONGEST = 4_294_967_295

type Options = NonNullable<ConstructorParameters<typeof Registrations>[0]> & ConstructorParameters<typeof App>[0]

/** The app of a directory; add the transports that it serves. */
export const directory = ({ clock, limit, ...options }: Options = {}) => {
  const app = new App({ ...options, ...(clock === undefined ? {} : { clock: clock as never }) }).use(router())
  const registrations = new Registrations({ ...(clock === undefined ? {} : { clock }), ...(limit === undefined ? {} : { limit }) })

  // RFC 9176 section 5.
  app.post('/rd', { rt: 'core.rd', ct: 40 }, async context => {
    const links = parseLinks(await context.text())
    return created(registrations.register(statementOf(context, links)))
  })
  // A device without a client of its own says that it is there, and the directory asks what it has (section 5.1).
  app.post('/.well-known/rd', { discoverable: false }, async context => {
    if (context.peer === undefined) throw new IopaError(501, 'no-way-back', 'Register with POST /rd over this protocol.')
    const client = await context.peer.client()
    try {
      const answer = await client.get('/.well-known/core', { headers: { accept: LINK_FORMAT } })
      if (!answer.ok) throw new IopaError(502, 'no-links', `The device answers ${answer.status} to a GET of /.well-known/core.`)
      registrations.register(statementOf(context, parseLinks(await answer.text())))
    } finally {
      await client.close()
    }
    return reply(204)
  })
  // Section 5.3.1: what an update leaves out stays.
  app.post('/rd/:id', { discoverable: false }, context => {
    const registration = registrations.get(context.params.id)
    const { attributes, lifetime, base, links } = registration.statement
    const update = statementOf(context, links, { ...attributes, lt: String(lifetime), base })
    registrations.update(registration, update)
    return reply(204)
  })
  app.delete('/rd/:id', { discoverable: false }, context => {
    registrations.remove(registrations.get(context.params.id))
    return reply(204)
  })

  // Section 6.
  app.get('/rd-lookup/ep', { rt: 'core.rd-lookup-ep', ct: 40 }, context => listed(context, query => registrations.endpoints(query)))
  app.get('/rd-lookup/res', { rt: 'core.rd-lookup-res', ct: 40 }, context => listed(context, query => registrations.resources(query)))

  // What a directory is for beside looking things up: a request to a device, over the session that the device has opened.
  app.get('/ask/{ep}/{path*}', { discoverable: false }, async context => {
    const client = await registrations.named(context.params.ep).client()
    const answer = await client.get(`/${context.params.path}`)
    return reply(answer.status, await answer.bytes(), { 'content-type': answer.type })
  })
  return Object.assign(app, { registrations })
}

const created = ({ id }: Registration) => reply(201, undefined, { location: `/rd/${id}` })

/** Reads the query of a registration; `known` is what an update does not name. @throws IopaError 400 */
const statementOf = (context: Context, links: readonly ParsedLink[], known: Record<string, string> = {}): Statement => {
  const { lt = String(LIFETIME), base = baseOf(context), ...attributes } = { ...known, ...Object.fromEntries(context.query) }
  const lifetime = Number(lt)
  if (!Number.isInteger(lifetime) || lifetime < 1 || lifetime > LONGEST)
    throw new IopaError(400, 'bad-lifetime', `lt is a number of seconds from 1 to ${LONGEST}.`)
  const { ep = '' } = attributes
  if (ep === '' || Buffer.byteLength(ep) > 63) throw new IopaError(400, 'bad-endpoint', 'ep names the endpoint with 1 to 63 bytes.')
  if (!URL.canParse(base)) throw new IopaError(400, 'bad-base', 'base is an absolute URI.')
  return { attributes, lifetime, base, links, peer: context.peer }
}

/** Where the device has sent from, if it does not say. */
const baseOf = ({ scheme, remoteAddress, remotePort }: Context): string =>
  `${scheme}://${remoteAddress.includes(':') ? `[${remoteAddress}]` : remoteAddress}:${remotePort}`

/** A page of what a lookup has found (section 6.2). */
const listed = (context: Context, find: (query: readonly string[]) => ParsedLink[]) => {
  const { page = '0', count, ...filters } = Object.fromEntries(context.query)
  const found = find(Object.entries(filters).map(([name, value]) => `${name}=${value}`))
  const size = count === undefined ? found.length : Number(count)
  const start = Number(page) * size
  if (!(size >= 0) || !(start >= 0)) throw new IopaError(400, 'bad-page', 'page and count are whole numbers.')
  return reply(200, serializeLinks(found.slice(start, start + size)), { 'content-type': LINK_FORMAT })
}
