import { type Context, defineMiddleware, IopaError, type MiddlewareFunction, type Next } from '@iopa/appbuilder'
import { isUnrouted, markFactory, noteMethods } from '@iopa/appbuilder/extension'
import { isMountPath } from '@iopa/context/host'
import { changesState, encodePath, HeaderMap, isControlMethod } from '@iopa/transport'
import { asksForWhole } from './conditions.ts'
import { encodingChoice } from './encodings.ts'
import { fileSystem } from './file-system.ts'
import { judgeListing, LINK_FORMAT, linkFormat, MAX_LISTED, withoutSlash } from './listing.ts'
import { type FileResource, Lookup, type Resource, stateOf } from './lookup.ts'
import { fileGone, Observers } from './observers.ts'
import { checkStaticOptions, type StaticOptions, type StaticSettings, settingsOf } from './options.ts'
import { protocolOf } from './protocol.ts'
import { type Rendering, render } from './rendering.ts'
import type { FileRepresentation } from './representation.ts'
import { Resources } from './resources.ts'
import type { FileSource } from './source.ts'

const READABLE: readonly string[] = ['GET', 'HEAD']

/**
 * Middleware that answers GET and HEAD with the files of a folder or of another source, on every protocol of the app.
 * What names no file goes on to the rest of the pipeline. It reads only `iopa.Path`, so it works below a mount.
 * Throws if `root` is not a folder.
 */
export const serveStatic = (root: string | URL | FileSource, options: StaticOptions = {}): MiddlewareFunction => {
  const source = typeof root === 'string' || root instanceof URL ? fileSystem(root, options) : root
  checkStaticOptions(options, serveStatic)
  const files = new StaticFiles(source, settingsOf(options))
  // `answers` says that a guard does not cover it unless it stands before (docs/spec/appbuilder.md).
  return defineMiddleware({ name: 'static', answers: true }, (context: Context, next: Next) => files.invoke(context, next))
}

markFactory('serveStatic', serveStatic)

class StaticFiles {
  readonly #settings: StaticSettings
  readonly #lookup: Lookup
  readonly #resources: Resources
  readonly #choose = encodingChoice()
  readonly #observers: Observers

  constructor(source: FileSource, settings: StaticSettings) {
    this.#settings = settings
    this.#lookup = new Lookup(source, settings)
    this.#resources = new Resources(source, this.#lookup, settings)
    this.#observers = new Observers(this.#lookup, this.#resources, settings)
  }

  // Stays synchronous for what the cache knows.
  invoke(context: Context, next: Next): unknown {
    const method = context['iopa.Method']
    if (method !== 'GET' && method !== 'HEAD') {
      if (method === 'UNSUBSCRIBE') this.#observers.unsubscribe(context)
      return isControlMethod(method) ? next() : this.#change(context, next)
    }
    if (context['iopa.Observe'] === true) return this.#observed(context, next)
    const path = context['iopa.Path']
    if (path.charCodeAt(path.length - 1) === 0x2f && this.#lists(context)) return this.#list(context, next, path)
    const known = this.#resources.peek(path)
    return known === undefined ? this.#look(context, next, path) : this.#answer(context, next, path, known.resource)
  }

  async #look(context: Context, next: Next, path: string): Promise<unknown> {
    return this.#answer(context, next, path, await this.#resources.find(path))
  }

  #answer(context: Context, next: Next, path: string, resource: Resource): unknown {
    if (resource === undefined) {
      const { fallback } = this.#settings
      return fallback === undefined || path === fallback ? next() : this.#orFallback(context, next, fallback)
    }
    if (resource.kind === 'directory') return this.#directory(context, next, path)
    if (path === '/' && isMountPath(context) && protocolOf(context).redirects === true) return this.#redirect(context, next, path)
    const headers = context['iopa.Headers']
    let representation: FileRepresentation | undefined = resource.plain
    if (resource.encoded.length > 0) {
      const choice = this.#choose(headers.get('accept-encoding'), resource.encodings)
      if (choice !== 'identity') representation = resource.encoded.find(({ encoding }) => encoding === choice)
      if (representation === undefined) {
        throw new IopaError(406, 'encoding-not-acceptable', `Accept one of ${[...resource.encodings, 'identity'].join(', ')}`, {
          headers: { vary: 'accept-encoding' }
        })
      }
    }
    if (representation.bytes !== undefined && asksForWhole(headers)) {
      return send(context, 200, representation.headers, representation, representation.bytes)
    }
    const rendering = render(representation, context['iopa.Method'], headers)
    const { status, headers: fields } = rendering
    if (status === 304) return send(context, 304, fields, representation, undefined)
    if (representation.bytes !== undefined) return send(context, status, fields, representation, cut(representation.bytes, rendering))
    if (context['iopa.Method'] === 'HEAD') return send(context, status, fields, representation, context.own(representation.unopened()))
    return this.#read(context, next, path, resource, representation, rendering)
  }

  async #read(context: Context, next: Next, path: string, resource: FileResource, wanted: FileRepresentation, planned: Rendering): Promise<unknown> {
    const content = await this.#resources.content(path, resource, wanted)
    if (content === undefined) {
      this.#resources.forget(path)
      return next()
    }
    const { representation, bytes, file } = content
    // From here on the scope owns the file.
    if (file !== undefined) context.own(file)
    const rendering = representation === wanted ? planned : render(representation, context['iopa.Method'], context['iopa.Headers'])
    const { status, headers, range } = rendering
    if (status === 304) return send(context, 304, headers, representation, undefined)
    return send(context, status, headers, representation, bytes === undefined ? representation.bodyOf(file!, range) : cut(bytes, rendering))
  }

  /** A directory without an index, or one asked for without its final slash. */
  #directory(context: Context, next: Next, path: string): unknown {
    if (this.#lists(context)) return this.#list(context, next, path)
    if (path.endsWith('/')) return next()
    // Only where links in a page resolve against the path does the slash matter.
    return protocolOf(context).redirects === true ? this.#redirect(context, next, `${path}/`) : this.#look(context, next, `${path}/`)
  }

  /** Sends the client to a directory with its final slash; `path` ends with it. */
  #redirect(context: Context, next: Next, path: string): unknown {
    if (!this.#settings.redirect) return next()
    const query = context['iopa.QueryString']
    context.response.status = 301
    context.response.headers.set('location', `${encodePath(`${context['iopa.PathBase']}${path}`)}${query === '' ? '' : `?${query}`}`)
    return undefined
  }

  /** True when a directory is to be listed for this request. */
  #lists(context: Context): boolean {
    const { listing } = this.#settings
    if (listing === false || !this.#lookup.canList) return false
    if (protocolOf(context).linkLists === true) return true
    return listing === true && (context['iopa.Headers'].get('accept')?.includes(LINK_FORMAT) ?? false)
  }

  async #list(context: Context, next: Next, asked: string): Promise<unknown> {
    const path = withoutSlash(asked)
    const info = await this.#lookup.directory(path)
    // With a final slash and no directory it names nothing; without one it may have become a file meanwhile.
    if (info === undefined) return next()
    const base = context['iopa.PathBase'] + (path === '/' ? '/' : `${path}/`)
    const links = linkFormat(base, await this.#lookup.list(path, MAX_LISTED), this.#settings)
    const { status, etag } = judgeListing(links, info, context['iopa.Headers'])
    setHeaders(context, ['etag', etag, 'vary', 'accept'])
    context.response.status = status
    if (status === 304) return undefined
    context.response.type = LINK_FORMAT
    context.response.body = links
    return undefined
  }

  /** A method that is neither GET nor HEAD: a file notes that it has those, and the rest of the pipeline decides. */
  async #change(context: Context, next: Next): Promise<unknown> {
    const method = context['iopa.Method']
    const path = context['iopa.Path']
    const resource = (this.#resources.peek(path) ?? { resource: await this.#resources.find(path) }).resource
    if (resource?.kind === 'file') noteMethods(context, READABLE)
    const value = await next()
    // A read after a write must return what was written.
    if (context.response.ok && changesState(method)) this.#resources.forget(path)
    return value
  }

  /** A path that names no file: the rest of the pipeline, and where that has nothing either, the fallback. */
  async #orFallback(context: Context, next: Next, fallback: string): Promise<unknown> {
    const value = await next()
    if (!isUnrouted(context)) return value
    const resource = await this.#resources.find(fallback)
    if (resource?.kind !== 'file') return value
    context.response.reset()
    // A second run of the rest would answer as the first one has.
    return this.#answer(context, (() => Promise.resolve(value)) as Next, fallback, resource)
  }

  /** A GET that observes: answered from a new check, and watched while the observer stays. */
  async #observed(context: Context, next: Next): Promise<unknown> {
    const path = context['iopa.Path']
    const base = context['iopa.PathBase']
    const directory = withoutSlash(path)
    // The state is read before the content: a change in between is then reported twice, and never missed.
    const listing = this.#lists(context) ? await this.#lookup.directory(directory) : undefined
    const resource = listing === undefined ? await this.#resources.refresh(path) : undefined
    const value = listing === undefined ? await this.#answer(context, next, path, resource) : await this.#list(context, next, path)
    const observed = { base, path, listed: listing !== undefined }
    // What another handler has answered is that handler's to watch.
    if (resource === undefined && listing === undefined) {
      if (!isUnrouted(context)) return value
      if (this.#observers.hasSeen(context, observed)) context.response.fail(fileGone())
    }
    if (!context['server.IsNotification']) this.#observers.add(context, observed, listing?.version ?? stateOf(resource))
    return value
  }
}

const cut = (bytes: Uint8Array, { range: { start, end } }: Rendering): Uint8Array =>
  end - start === bytes.length ? bytes : bytes.subarray(start, end)

const send = (context: Context, status: number, headers: string[], { mediaType }: FileRepresentation, body: unknown): undefined => {
  const { response } = context
  response.status = status
  setHeaders(context, headers)
  if (body === undefined) return undefined
  response.type = mediaType
  response.body = body
  return undefined
}

/** Sets fields from a flat list; what middleware has set before stays unless the list says otherwise. */
const setHeaders = (context: Context, pairs: string[]): void => {
  const { response } = context
  if (response.headers[Symbol.iterator]().next().done === true) {
    response.headers = new HeaderMap(pairs)
    return
  }
  for (let at = 0; at < pairs.length; at += 2) {
    if (pairs[at] === 'vary') response.headers.append('vary', pairs[at + 1]!)
    else response.headers.set(pairs[at]!, pairs[at + 1]!)
  }
}
