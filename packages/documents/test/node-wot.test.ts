// An unmodified node-wot reads, writes and observes an app by its Thing Description alone, on each protocol.
import { createRequire } from 'node:module'
import { App } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { http } from '@iopa/http'
import { mqtt } from '@iopa/mqtt'
import { resource, resources } from '@iopa/resource'
import { router } from '@iopa/router'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { documents } from '../src/index.ts'
import { INFO } from './fixtures/apps.ts'

interface Output {
  value(): Promise<unknown>
}
interface ConsumedThing {
  readProperty(name: string, options?: object): Promise<Output>
  writeProperty(name: string, value: unknown, options?: object): Promise<void>
  observeProperty(
    name: string,
    listener: (output: Output) => void,
    failed: (error: Error) => void,
    options?: object
  ): Promise<{ stop(): Promise<void> }>
  invokeAction(name: string, input: unknown, options?: object): Promise<Output | undefined>
}
interface Form {
  readonly href: string
}
interface Description {
  readonly properties: Readonly<Record<string, { readonly forms: readonly Form[] }>>
  readonly actions: Readonly<Record<string, { readonly forms: readonly Form[] }>>
}
interface Servient {
  addClientFactory(factory: object): void
  start(): Promise<{ consume(description: object): Promise<ConsumedThing> }>
  shutdown(): Promise<void>
}

const light = resource('/lights/{id}', {
  title: 'A light',
  rt: 'light',
  params: z.object({ id: z.string() }),
  state: z.object({ on: z.boolean(), level: z.number().min(0).max(100) }),
  methods: { get: {}, put: {}, post: { input: z.object({ to: z.number() }), answer: z.object({ job: z.string() }) } }
})

type Light = { on: boolean; level: number }
let state: Light = { on: false, level: 0 }
const uriVariables = { id: 'hall' }

const houseApp = (): App => {
  const app = new App({ logger: false }).use(router()).use(resources()).use(documents(INFO))
  app.serve(
    light,
    { get: () => state, put: ({ input }) => (state = input), post: ({ input }) => ({ job: `fade to ${input.to}` }) },
    { instances: () => ['/lights/hall'] }
  )
  return app
    .use(http({ port: 0 }))
    .use(coap({ port: 0 }))
    .use(mqtt({ port: 0 }))
}

/** A description whose forms speak one protocol alone, so that a client has no other choice. */
const speaking = (description: Description, protocol: string): Description => {
  const only = <T extends { readonly forms: readonly Form[] }>(affordances: Readonly<Record<string, T>>) =>
    Object.fromEntries(
      Object.entries(affordances)
        .map(
          ([name, affordance]) => [name, { ...affordance, forms: affordance.forms.filter(({ href }) => href.startsWith(`${protocol}:`)) }] as const
        )
        .filter(([, { forms }]) => forms.length > 0)
    )
  return { ...description, properties: only(description.properties), actions: only(description.actions) }
}

describe('node-wot, with the Thing Description of the app', () => {
  let app: App
  let servient: Servient
  let consume: (description: object) => Promise<ConsumedThing>
  let description: Description
  let instance: Description

  beforeAll(async () => {
    const require = createRequire(import.meta.url)
    // Its validator warns of formats while it is loaded.
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined)
    const { Servient: Client } = require('@node-wot/core') as { Servient: new () => Servient }
    const { HttpClientFactory } = require('@node-wot/binding-http') as { HttpClientFactory: new () => object }
    const { CoapClientFactory } = require('@node-wot/binding-coap') as { CoapClientFactory: new () => object }
    const { MqttClientFactory } = require('@node-wot/binding-mqtt') as { MqttClientFactory: new () => object }
    warn.mockRestore()
    app = houseApp()
    const url = (await app.listen())[0]?.url as URL
    servient = new Client()
    for (const factory of [new HttpClientFactory(), new CoapClientFactory(), new MqttClientFactory()]) servient.addClientFactory(factory)
    const wot = await servient.start()
    consume = thing => wot.consume(thing)
    const read = async (path: string): Promise<Description> => (await (await fetch(new URL(path, url))).json()) as Description
    description = await read('/.well-known/wot')
    instance = await read('/things/lights/hall')
  }, 60_000)
  afterAll(async () => {
    await servient?.shutdown()
    // Its MQTT client unsubscribes and leaves by itself, after that.
    await vi.waitUntil(() => app.counters()['mqtt']?.connections === 0, { timeout: 5000, interval: 5 }).catch(() => undefined)
    await app?.close({ timeout: 50 })
  })

  test.each(['http', 'coap', 'mqtt'])('reads, writes and observes a light over %s', async protocol => {
    state = { on: false, level: 5 }
    const thing = await consume(speaking(description, protocol))
    expect(await (await thing.readProperty('light', { uriVariables })).value()).toEqual(state)
    const heard: unknown[] = []
    // Its clients reconnect when the app has closed, and may find another app at that port.
    const take = (output: Output): Promise<unknown> =>
      output.value().then(
        value => heard.push(value),
        () => undefined
      )
    const observation = await thing.observeProperty(
      'light',
      output => void take(output),
      () => undefined,
      { uriVariables }
    )
    await thing.writeProperty('light', { on: true, level: 70 }, { uriVariables })
    await vi.waitUntil(() => heard.some(value => (value as Light).on), { timeout: 5000, interval: 5 })
    expect(state).toEqual({ on: true, level: 70 })
    expect(heard.at(-1)).toEqual({ on: true, level: 70 })
    await observation.stop().catch(() => undefined)
  })

  test.each(['http', 'coap'])('fades a light over %s', async protocol => {
    const thing = await consume(speaking(description, protocol))
    const output = await thing.invokeAction('postLight', { to: 10 }, { uriVariables })
    expect(await output?.value()).toEqual({ job: 'fade to 10' })
  })

  test('reads one light by the Thing Description of the instance', async () => {
    const thing = await consume(instance)
    expect(await (await thing.readProperty('light')).value()).toEqual(state)
  })
})
