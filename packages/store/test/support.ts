import { App, type AppOptions, type Logger } from '@iopa/appbuilder'
import type { ResourceContract, ResourceTypes } from '@iopa/appbuilder/extension'
import { collection, resource, resources } from '@iopa/resource'
import { router } from '@iopa/router'
import { z } from 'zod'
import { type Store, type StoreOptions, store } from '../src/index.ts'

interface Light {
  readonly on: boolean
  readonly level: number
  readonly name?: string | undefined
}

interface LightInput {
  readonly on: boolean
  readonly level?: number | undefined
  readonly name?: string | undefined
}

interface LightTypes extends ResourceTypes {
  readonly params: { readonly id: string }
  readonly paramsInput: { readonly id: string }
  readonly state: Light
  readonly stateInput: LightInput
  readonly computed: unknown
}

export type Lights = Store<LightTypes>

export const light: ResourceContract<LightTypes> = resource('/lights/{id}', {
  title: 'A light',
  params: z.object({ id: z.string().max(36) }),
  state: z.object({ on: z.boolean(), level: z.number().min(0).max(100).default(0), name: z.string().optional() }),
  methods: { get: {}, put: {}, patch: {}, delete: {} }
}) as ResourceContract<LightTypes>

export const allLights: ResourceContract = collection(light, '/lights', { create: true, page: 10, filter: ['on', 'level', 'name'] })

export interface Told {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: unknown
}

export type Ask = (method: string, path: string, body?: unknown, headers?: Record<string, string>) => Promise<Told>

/** Asks an app in this process. */
export const asking =
  (app: Pick<App, 'invoke'>): Ask =>
  async (method, path, body, headers = {}) => {
    const [name = '', query = ''] = path.split('?')
    const answer = await app.invoke({
      'iopa.Method': method,
      'iopa.Path': name,
      'iopa.QueryString': query,
      'iopa.Headers': headers,
      ...(body === undefined ? undefined : { 'iopa.Body': body })
    } as never)
    const text = await answer.text()
    return { status: answer.status, headers: Object.fromEntries(answer.headers), body: text === '' ? undefined : JSON.parse(text) }
  }

/** An app that serves lights and their collection. */
export const lightsApp = (options: StoreOptions<LightTypes> = {}, appOptions: AppOptions = {}): { app: App; lights: Lights; ask: Ask } => {
  const lights = store(light, options)
  const app = new App({ logger: false, ...appOptions }).use(router()).use(resources())
  app.serve(light, lights).serve(allLights, lights)
  return { app: app as App, lights, ask: asking(app) }
}

/** What is logged, as text. */
export const recorder = (): { lines: string[]; logger: Logger } => {
  const lines: string[] = []
  const log = (...parts: unknown[]): void => void lines.push(parts.map(part => (part instanceof Error ? part.message : String(part))).join(' '))
  return { lines, logger: { debug: log, info: log, warn: log, error: log, log } as never }
}
