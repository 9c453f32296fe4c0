import {
  type AppHandle,
  argumentError,
  checkOptions,
  type Extension,
  kindOf,
  markFactory,
  type ResourceContract,
  type ResourceHandlers,
  type ResourceServer,
  type ResourceTypes,
  type ServeHost,
  type ServeOptions
} from '@iopa/appbuilder/extension'
import { isIopaError } from '@iopa/constants'
import { FailureLog } from '@iopa/transport/host'
import { routeValidator } from './plain-routes.ts'
import { serveHandlers } from './serve.ts'
import type { Serving } from './served-method.ts'

/** The methods that `use(resources())` adds to an app. */
export interface ResourceMethods {
  /**
   * Serves a resource by handlers, or by an object such as a store.
   * @throws IopaError 500 `bad-resource` for a handler that is missing, surplus or no function, with the line of the call.
   */
  serve<This, Types extends ResourceTypes>(
    this: This,
    contract: ResourceContract<Types>,
    handlers: ResourceHandlers<Types> | ResourceServer<Types>,
    options?: ServeOptions
  ): This
}

/** Options of `resources()`. */
export interface ResourceOptions {
  /**
   * `check` validates answers, and answers 500 where a handler returns what its schema refuses; `trust` sends them as they are, and is the default
   * where NODE_ENV is `production`.
   */
  readonly answers?: 'check' | 'trust'
}

const OPTIONS: Record<keyof ResourceOptions, true> = { answers: true }

/** Faulty replicas that are logged one by one in a second. */
const MOST_LOGGED = 10

const isProduction = (): boolean => (globalThis as { process?: { env?: Record<string, string | undefined> } }).process?.env?.NODE_ENV === 'production'

/** Serves declared resources, and validates by the schemas of routes: `new App().use(router()).use(resources())`. */
export const resources = (options: ResourceOptions = {}): Extension<ResourceMethods> => {
  checkOptions('resources()', options, OPTIONS, resources)
  const { answers = isProduction() ? 'trust' : 'check' } = options
  if (answers !== 'check' && answers !== 'trust')
    throw argumentError(resources, 'bad-option', `The option answers of resources() is 'check' or 'trust', not ${kindOf(answers)}.`)
  return {
    name: 'resources',
    extend(app) {
      const serving = servingOf(app, answers === 'check')
      app.registry.validateWith(routeValidator(serving))
      const host: ServeHost = {
        clock: app.clock,
        logger: app.logger,
        serve: (contract, handlers, serveOptions = {}) => serveHandlers(app, serving, contract, handlers, serveOptions, host.serve),
        notify: path => app.notify(path),
        mayGet: (path, as) => app.mayGet(path, as),
        defer: dispose => app.defer(dispose)
      }
      const serve: ResourceMethods['serve'] = function (contract, handlers, serveOptions = {}) {
        if (isServer(handlers)) handlers.serve(contract as never, host, serveOptions)
        else serveHandlers(app, serving, contract, handlers, serveOptions, serve)
        return this
      }
      return { serve }
    }
  }
}

markFactory('resources', resources)

const servingOf = (app: AppHandle, checksAnswers: boolean): Serving => {
  const log = new FailureLog(app.clock, app.logger, MOST_LOGGED, 'replicas do not fit their schemas')
  app.defer(() => log.flush())
  return {
    checksAnswers,
    replicaFault(name, { context }, error) {
      if (!log.take()) return
      const set = isIopaError(error) && error.code === 'not-migrated' ? 'is set aside' : 'is applied as it is'
      app.logger.error(`iopa: a replica of ${context.path} does not fit ${name}, and ${set}`, error)
    }
  }
}

const isServer = (value: unknown): value is ResourceServer => typeof (value as Partial<ResourceServer> | null)?.serve === 'function'
