// What foreign validators say of the documents of three kinds of apps.
import { App, type AppOptions, type Transport } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { http } from '@iopa/http'
import { mqtt } from '@iopa/mqtt'
import { router } from '@iopa/router'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { asyncapi, openapi, thing } from '../src/index.ts'
import { basic, contractApp, INFO, plainApp } from './fixtures/apps.ts'
import { asyncapiFaults, openapiFaults, thingFaults } from './fixtures/validators.ts'

const guardedApp = (): App =>
  new App({ logger: false })
    .use(basic)
    .use(router())
    .get('/a', () => 1)
    .put('/a', { security: [{ name: 'psk', type: 'psk' }] }, () => undefined)
    .get('/key', { security: [{ name: 'key', type: 'apiKey', in: 'header', field: 'x-key' }] }, () => 1)
    .get('/cert', { security: [{ name: 'cert', type: 'mutualTLS' }] }, () => 1)
    .get('/id', { security: [{ name: 'id', type: 'openIdConnect', url: 'https://id.example/.well-known/openid-configuration' }] }, () => 1)
    .get('/open', { security: [] }, () => 1)

const transports = () => [http({ port: 0 }), coap({ port: 0 }), mqtt({ port: 0 })]

/** By its path, for an app of examples has inferred types. */
const { home } = (await import(new URL('../../../examples/home/home.ts', import.meta.url).pathname)) as {
  home(transports: readonly Transport[], options: AppOptions): App
}

/** All kinds of apps in one, for validators take their time. */
const wholeApp = (): App =>
  home(transports(), { logger: false }).mount('/plain', plainApp()).mount('/contracts', contractApp()).mount('/guarded', guardedApp()) as App

const APPS: readonly [string, () => App][] = [
  ['three kinds of apps, on three protocols', wholeApp],
  ['contracts on HTTP alone', () => contractApp().use(http({ port: 0 }))]
]

describe.each(APPS)('the documents of %s', (_, make) => {
  let app: App
  beforeAll(async () => {
    app = make()
    await app.listen()
  })
  afterAll(() => app.close({ timeout: 10 }))

  test('are valid OpenAPI 3.2 and 3.1', async () => {
    expect(await openapiFaults(openapi(app, INFO))).toEqual({ version: '3.2', faults: [] })
    expect(await openapiFaults(openapi(app, INFO, '3.1'))).toEqual({ version: '3.1', faults: [] })
  })

  test('are valid AsyncAPI 3.0', async () => {
    expect(await asyncapiFaults(asyncapi(app, INFO))).toEqual([])
  }, 60_000)

  test('are a valid Thing Description 1.1', async () => {
    expect(await thingFaults(thing(app, INFO))).toEqual([])
  })
})

test('a broken document is not valid for any of the validators', async () => {
  const app = plainApp()
  expect((await openapiFaults({ ...openapi(app, INFO), paths: { weather: 1 } })).faults).not.toEqual([])
  expect(await asyncapiFaults({ ...asyncapi(app, INFO), channels: { a: { address: 1 } } })).not.toEqual([])
  expect(await thingFaults({ ...thing(app, INFO), properties: { a: {} } })).not.toEqual([])
}, 60_000)
