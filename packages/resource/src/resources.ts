import { IopaError, type MiddlewareFunction } from '@iopa/appbuilder'
import {
  type AppHandle,
  type Extension,
  type ResourceContract,
  type ResourceHandlers,
  type ResourceServer,
  type ResourceTypes,
  type RouteAttributes,
  type Schema,
  type ServeHost,
  type ServeOptions,
  validate
} from '@iopa/appbuilder/extension'
import { methodName } from './resource.ts'

/** The methods that `use(resources())` adds to an app. */
export interface ResourceMethods {
  /** Serves a resource by handlers, or by an object such as a store. */
  serve<This, Types extends ResourceTypes>(
    this: This,
    contract: ResourceContract<Types>,
    handlers: ResourceHandlers<Types> | ResourceServer<Types>,
    options?: ServeOptions
  ): This
}

/** Options of `resources()`. */
export interface ResourceOptions {
  /** Whether answers are validated; they are unless NODE_ENV is `production`. */
  readonly answers?: 'check' | 'trust'
}

type Handler = (request: object) => unknown

/** Serves declared resources: `new App().use(router()).use(resources())`. */
export const resources = (_options: ResourceOptions = {}): Extension<ResourceMethods> => ({
  name: 'resources',
  extend(app) {
    app.registry.validateWith(({ attributes: { input } }) => (input === undefined ? undefined : inputLayer(input)))
    const host: ServeHost = {
      clock: app.clock,
      logger: app.logger,
      serve: (contract, handlers, options = {}) => serveHandlers(app, contract, handlers as Record<string, Handler>, options),
      notify: path => app.notify(path),
      defer: dispose => app.defer(dispose)
    }
    return {
      serve(contract, handlers, options) {
        if (isServer(handlers)) handlers.serve(contract as never, host)
        else host.serve(contract, handlers, options)
        return this
      }
    }
  }
})

const isServer = (value: unknown): value is ResourceServer => typeof (value as Partial<ResourceServer>).serve === 'function'

const inputLayer =
  (input: Schema): MiddlewareFunction =>
  async (context, next) => {
    context['iopa.Input'] = await validate(input, await context.json())
    return next()
  }

const serveHandlers = (app: AppHandle, contract: ResourceContract, handlers: Readonly<Record<string, Handler>>, options: ServeOptions): void => {
  for (const [name, handler] of Object.entries(handlers)) {
    const method = methodName(name)
    const declared = contract.methods[method]
    if (declared === undefined)
      throw new IopaError(
        500,
        'bad-resource',
        `The resource ${contract.pattern} declares no ${method}: add it to its methods, or remove its handler.`
      )
    const { title, description, query, headers, input, answer, errors, security = contract.security } = declared
    const attributes = {
      resource: contract,
      ...defined({ title: title ?? contract.title, description: description ?? contract.description, rt: contract.rt, if: contract.if }),
      ...defined({ params: contract.params, query, headers, input, answer, errors, security, ...options, middleware: undefined })
    } as RouteAttributes
    const serve: MiddlewareFunction = async context => {
      const params = contract.params === undefined ? context['iopa.Params'] : await validate(contract.params, { ...context['iopa.Params'] }, 'params')
      if (input !== undefined) context['iopa.Input'] = await validate(input, await context.json())
      const asked = query === undefined ? context.query : await validate(query, recordOfQuery(context.query), 'query')
      return handler({ params, query: asked, headers: context.headers, input: context['iopa.Input'], context })
    }
    app.registry.add(method, contract.pattern, attributes, [...(options.middleware ?? []), serve])
  }
}

/** Arrays where a name stands more than once. */
const recordOfQuery = (query: URLSearchParams): Record<string, string | string[]> => {
  const record: Record<string, string | string[]> = Object.create(null)
  for (const name of new Set(query.keys())) {
    const all = query.getAll(name)
    record[name] = all.length === 1 ? (all[0] as string) : all
  }
  return record
}

const defined = (members: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined))
